"""What to open and close when members come and go."""

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from aiconexus.sdk.topology.building import full, ring, spokes
from aiconexus.sdk.topology.mending import mended
from aiconexus.sdk.topology.shape import Change, ImpossibleTopology, Kind, Shard, Topology, change, ranked
from aiconexus.sdk.topology.sharding import inside, joined


def join(topology: Topology, member: str, *, shard: str | None = None) -> Change:
    """
    Take a member in.

    Everybody who knows the topology comes to the same result. In a k-neighbour topology the new member opens k
    edges; others are closed, one for two of these, only where nobody has room for one more neighbour.

    Args:
        topology: Connected, the degrees within their bounds.
        member: Who comes.
        shard: Into which shard; a sharded topology needs it.

    Raises:
        ImpossibleTopology: If the member is there already, or no shard has that name.

    """
    if member in topology.members:
        raise ImpossibleTopology(f"{member} is in it already")
    if topology.kind is Kind.SHARDED:
        return change(topology, _shards_with(topology, member, shard))
    return change(topology, _of(topology, (*topology.members, member), plus=(member,)))


def leave(topology: Topology, members: Iterable[str]) -> Change:
    """
    Go on without some members, in one piece and with the degrees within their bounds.

    Where a hub or a gateway goes, the seed draws another.

    Raises:
        ImpossibleTopology: If one is not there, or nobody would be left.

    """
    gone = set(members)
    left = [member for member in topology.members if member not in gone]
    if not left or not gone.issubset(topology.members):
        raise ImpossibleTopology(f"{len(gone)} of {len(topology.members)} members cannot leave it")
    if topology.kind is Kind.SHARDED:
        return change(topology, _shards_without(topology, gone))
    return change(topology, _of(topology, left, without=gone))


def _of(
    topology: Topology, members: Iterable[str], *, without: Collection[str] = (), plus: Iterable[str] = ()
) -> Topology:
    match topology.kind:
        case Kind.FULL:
            return full(members, seed=topology.seed)
        case Kind.RING:
            return ring(members, seed=topology.seed)
        case Kind.HUB_SPOKE:
            return spokes(members, _kept(topology.hubs, members, topology.seed), topology.seed)
        case _:
            return mended(topology, without=without, plus=plus)


def _kept(chosen: tuple[str, ...], members: Iterable[str], seed: int) -> tuple[str, ...]:
    """The same as before, with others in the places of those who are gone."""
    order = ranked(members, seed)
    others = (member for member in order if member not in chosen)
    kept = [member if member in order else next(others, None) for member in chosen]
    return tuple(member for member in kept if member is not None)


def _shards_with(topology: Topology, member: str, name: str | None) -> Topology:
    if name not in {shard.name for shard in topology.shards}:
        raise ImpossibleTopology(f"{name} is none of its shards")
    parts = [inside(topology, shard) for shard in topology.shards]
    grown = [
        mended(part, plus=(member,)) if shard.name == name else part
        for shard, part in zip(topology.shards, parts, strict=True)
    ]
    shards = [replace(shard, members=part.members) for shard, part in zip(topology.shards, grown, strict=True)]
    return joined(shards, grown, topology.k, topology.seed)


def _shards_without(topology: Topology, gone: set[str]) -> Topology:
    shards, parts = [], []
    for shard in topology.shards:
        if left := tuple(member for member in shard.members if member not in gone):
            gateways = _kept(shard.gateways, left, topology.seed)
            shards.append(Shard(name=shard.name, members=left, gateways=gateways))
            parts.append(mended(inside(topology, shard), without=gone.intersection(shard.members)))
    return joined(shards, parts, topology.k, topology.seed)
