"""Where each member stands in a picture: the same place each time."""

from collections.abc import Sequence
from math import cos, pi, sin, tau

import msgspec

from aiconexus.sdk.topology.shape import Kind, Shard, Topology, ranked

Point = tuple[float, float]

HUB_RADIUS = 0.3
MARGIN = 0.28
"""Around the circle on which members stand."""
SHARD_SHARE = 0.6
"""The rest of the room around a shard is for names."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a member stands.

    Attributes:
        at: Coordinates from -1 to 1.
        angle: From the middle of its circle, in radians.
        middle: Of its circle.
        gap: Distance to the next on its circle.
        room: Around its circle, until the edge of the picture or half the way to the next circle.

    """

    at: Point
    angle: float
    middle: Point
    gap: float
    room: float


def places(topology: Topology) -> dict[str, Place]:
    """Put members on a circle in the order of the ring, hubs inside of it, and each shard on a circle of its own."""
    if topology.kind is Kind.SHARDED:
        return _in_shards(topology.shards, topology.seed)
    order = ranked(topology.members, topology.seed)
    hubs = [member for member in order if member in topology.hubs]
    outside = [member for member in order if member not in topology.hubs]
    return _circle(hubs, radius=HUB_RADIUS if len(hubs) > 1 else 0.0) | _circle(outside)


def _circle(
    members: Sequence[str],
    *,
    middle: Point = (0.0, 0.0),
    radius: float = 1.0,
    start: float = pi / 2,
    room: float = MARGIN,
) -> dict[str, Place]:
    angles = [start - tau * number / len(members) for number in range(len(members))]
    return {
        member: Place(
            at=(middle[0] + radius * cos(angle), middle[1] + radius * sin(angle)),
            angle=angle,
            middle=middle,
            gap=tau * radius / len(members),
            room=room,
        )
        for member, angle in zip(members, angles, strict=True)
    }


def _in_shards(shards: Sequence[Shard], seed: int) -> dict[str, Place]:
    """Gateways look to the middle."""
    half = sin(pi / len(shards)) if len(shards) > 1 else 0.0
    radius = SHARD_SHARE * half / (1 + half) if len(shards) > 1 else 1.0
    room = min((1 - radius) * half - radius, MARGIN) if len(shards) > 1 else MARGIN
    middles = _circle([shard.name for shard in shards], radius=1 - radius)
    found: dict[str, Place] = {}
    for shard in shards:
        others = [member for member in ranked(shard.members, seed) if member not in shard.gateways]
        middle = middles[shard.name]
        start = middle.angle + pi + tau * (len(shard.gateways) - 1) / 2 / len(shard.members)
        found |= _circle([*shard.gateways, *others], middle=middle.at, radius=radius, start=start, room=room)
    return found
