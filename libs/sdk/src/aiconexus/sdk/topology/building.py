"""Topologies out of their members; connected because of how they are made, never by trying again."""

from collections.abc import Collection, Iterable
from itertools import combinations, pairwise
from random import Random

import networkx as nx

from aiconexus.sdk.topology.shape import Edge, ImpossibleTopology, Kind, Topology, edge, ranked

SWAPS_PER_EDGE = 10


def full(members: Iterable[str], *, seed: int = 0) -> Topology:
    """
    Connect everybody with everybody.

    Raises:
        ImpossibleTopology: If there are no members.

    """
    order = sorted(ranked(members, seed))
    return Topology(kind=Kind.FULL, seed=seed, members=tuple(order), edges=tuple(combinations(order, 2)))


def ring(members: Iterable[str], *, seed: int = 0) -> Topology:
    """
    Connect each member with two others, in a circle that the seed draws.

    A member that comes takes its place between two others and moves nobody.

    Raises:
        ImpossibleTopology: If there are no members.

    """
    order = ranked(members, seed)
    return _topology(Kind.RING, order, _circle(order), seed=seed)


def hub_spoke(members: Iterable[str], *, hubs: int = 1, seed: int = 0) -> Topology:
    """
    Connect each member with every hub, and the hubs with each other; with two hubs or more, any one may fail.

    Args:
        members: All, hubs included.
        hubs: How many of them the seed draws.
        seed: Any number.

    Raises:
        ImpossibleTopology: If there are fewer members than hubs, or no hubs.

    """
    order = ranked(members, seed)
    if not 1 <= hubs <= len(order):
        raise ImpossibleTopology(f"{hubs} hubs among {len(order)} members")
    return spokes(order, order[:hubs], seed)


def spokes(members: Iterable[str], hubs: Collection[str], seed: int) -> Topology:
    """Connect each member with the hubs that are named."""
    order = tuple(members)
    edges = {edge(hub, member) for hub in hubs for member in order if member != hub}
    return _topology(Kind.HUB_SPOKE, order, edges, seed=seed, hubs=tuple(sorted(hubs)))


def k_neighbour(members: Iterable[str], k: int, *, seed: int = 0) -> Topology:
    """
    Connect each member with k others that the seed draws.

    It starts from a Harary graph, which is k-connected, and exchanges the ends of pairs of its edges at random. The
    degrees do not change by that: all are k, but for one of k + 1 where the number of members and k are both odd.
    The circle through all members is left as it is, so that for k of 2 or more no loss of one member splits it.

    Args:
        members: Up to k + 1 of them are connected with everybody.
        k: Neighbours of each; with 1 it is a line.
        seed: Any number.

    Raises:
        ImpossibleTopology: If there are no members, or k is less than 1.

    """
    order = ranked(members, seed)
    if k < 1:
        raise ImpossibleTopology(f"{k} neighbours connect nobody")
    if len(order) <= k + 1:
        return _topology(Kind.K_NEIGHBOUR, order, {edge(*pair) for pair in combinations(order, 2)}, seed=seed, k=k)
    harary = {edge(order[one], order[other]) for one, other in nx.hkn_harary_graph(k, len(order)).edges}
    kept = _circle(order) & harary
    edges = kept | _exchanged(sorted(harary - kept), kept, seed)
    return _topology(Kind.K_NEIGHBOUR, order, edges, seed=seed, k=k)


def _exchanged(chords: list[Edge], kept: set[Edge], seed: int) -> set[Edge]:
    random = Random(seed)  # noqa: S311  # a shape is no secret
    taken = kept.union(chords)
    for _ in range(SWAPS_PER_EDGE * len(chords)):
        first, second = random.randrange(len(chords)), random.randrange(len(chords))
        (one, other), (left, right) = chords[first], chords[second][:: random.choice((1, -1))]
        new = edge(one, right), edge(left, other)
        if len({one, other, left, right}) == 4 and taken.isdisjoint(new):  # noqa: PLR2004  # four ends
            taken.difference_update((chords[first], chords[second]))
            taken.update(new)
            chords[first], chords[second] = new
    return taken - kept


def _circle(order: tuple[str, ...]) -> set[Edge]:
    return {edge(one, other) for one, other in pairwise((*order, order[0])) if one != other}


def _topology(
    kind: Kind, members: Iterable[str], edges: Iterable[Edge], *, seed: int, k: int = 0, hubs: tuple[str, ...] = ()
) -> Topology:
    order, pairs = tuple(sorted(members)), tuple(sorted(edges))
    return Topology(kind=kind, seed=seed, members=order, edges=pairs, k=k, hubs=hubs)
