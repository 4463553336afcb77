"""How many neighbours a member needs, and what they cost."""

from collections.abc import Iterable

import msgspec
import networkx as nx

from aiconexus.sdk.topology.analysis import analyse
from aiconexus.sdk.topology.building import k_neighbour
from aiconexus.sdk.topology.shape import ImpossibleTopology, Topology


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one k brings.

    Attributes:
        k: Neighbours of each member.
        edges: Connections of the mesh.
        diameter: Hops between the two members farthest apart.
        path_mean: Hops between two members on average.
        within_two_hops: Share of the pairs that need two hops at most.
        connectivity: Members that must fail before the rest may fall apart; 0 where the diameter said no already.
        is_enough: Whether it is what was asked for.

    """

    k: int
    edges: int
    diameter: int
    path_mean: float
    within_two_hops: float
    connectivity: int
    is_enough: bool


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a number of members costs, everybody with everybody beside k neighbours.

    Attributes:
        members: How many there are.
        full_edges: Connections of the full mesh.
        full_bytes: Memory of one member in it.
        k: Neighbours in the partial mesh.
        edges: Connections of the partial mesh.
        bytes: Memory of one member in it.
        share: Connections of the partial mesh for each of the full one.

    """

    members: int
    full_edges: int
    full_bytes: int
    k: int
    edges: int
    bytes: int
    share: float


def trials(members: int, *, connectivity: int, diameter: int, share_within_two: float = 0.0) -> list[Trial]:
    """
    Try one k after the other; the last is the smallest that is enough, those before it say why it is no smaller.

    The first k tried is the least that could do: a member with fewer neighbours than ``connectivity`` is cut off by
    losing them all, and by Moore's bound k neighbours reach ``1 + k * sum((k - 1) ** i for i in range(diameter))``
    members at most.

    Args:
        members: How many there are, 2 or more.
        connectivity: Members that must fail before the rest may fall apart; among fewer there are no others.
        diameter: The most hops between two members.
        share_within_two: The least share of the pairs that need two hops at most.

    Raises:
        ImpossibleTopology: If no mesh of that many members is that.

    """
    is_possible = members >= 2 and 1 <= connectivity < members and diameter >= 1  # noqa: PLR2004  # a pair
    if not is_possible or not share_within_two <= 1:
        raise ImpossibleTopology(
            f"{members} members, connectivity {connectivity}, diameter {diameter}, {share_within_two:.0%} in two hops"
        )
    names = [f"member {number}" for number in range(members)]
    tried: list[Trial] = []
    k = max(connectivity, _moore_bound(members, diameter))
    while not (tried and tried[-1].is_enough):
        mesh = k_neighbour(names, k)
        tried.append(_trial(mesh, connectivity, diameter, share_within_two))
        k += 1
    return tried


def optimal_k(members: int, *, connectivity: int, diameter: int, share_within_two: float = 0.0) -> int:
    """
    The smallest k with which a k-neighbour topology of the seed 0 is what is asked for, as in ``trials``.

    Raises:
        ImpossibleTopology: If no mesh of that many members is that.

    """
    return trials(members, connectivity=connectivity, diameter=diameter, share_within_two=share_within_two)[-1].k


def scalability(members: Iterable[int], k: int, bytes_per_connection: int) -> list[Scale]:
    """
    What the full mesh and the partial mesh cost.

    Args:
        members: Numbers of members, 2 or more.
        k: Neighbours in the partial mesh.
        bytes_per_connection: Memory that one end of one connection takes in one member, as measured.

    """
    return [_scale(count, min(k, count - 1), bytes_per_connection) for count in members]


def _scale(count: int, k: int, bytes_per_connection: int) -> Scale:
    full, partial = count * (count - 1) // 2, max((count * k + 1) // 2, count - 1)
    return Scale(
        members=count,
        full_edges=full,
        full_bytes=(count - 1) * bytes_per_connection,
        k=k,
        edges=partial,
        bytes=k * bytes_per_connection,
        share=partial / full,
    )


def _trial(mesh: Topology, connectivity: int, diameter: int, share_within_two: float) -> Trial:
    found = analyse(mesh)
    is_near = found.diameter <= diameter and found.share_within(2) >= share_within_two
    survives = int(nx.node_connectivity(mesh.graph)) if is_near else 0
    return Trial(
        k=mesh.k,
        edges=found.edges,
        diameter=found.diameter,
        path_mean=found.path_mean,
        within_two_hops=found.share_within(2),
        connectivity=survives,
        is_enough=is_near and survives >= connectivity,
    )


def _moore_bound(members: int, diameter: int) -> int:
    k = 1
    while 1 + k * sum((k - 1) ** hop for hop in range(diameter)) < members:
        k += 1
    return k
