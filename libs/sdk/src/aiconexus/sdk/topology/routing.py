"""To whom a member hands what is meant for somebody else."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from math import inf

import msgspec
import networkx as nx

from aiconexus.sdk.topology.shape import Edge, ImpossibleTopology, Topology, edge
from aiconexus.sdk.topology.weighing import checked

HOPS_MAX = 8
"""Hops that a message goes at most, where nobody says otherwise."""


class Hop(msgspec.Struct, frozen=True, order=True):
    """
    One way on.

    Attributes:
        cost: Of the whole way.
        hops: Of the whole way, this one included.
        neighbour: To whom.

    """

    cost: float
    hops: int
    neighbour: str


class Routes(msgspec.Struct, frozen=True, kw_only=True):
    """
    The ways of one member to everybody.

    Every member that takes the first of its ``next_hops`` follows the cheapest way there is with the hops that are
    left. As each hop costs something, what is left to pay falls with each, and nothing goes in a circle.

    Attributes:
        owner: Whose ways they are.
        hops_max: The most hops of a way.
        ways: For each destination, the cheapest first; a neighbour stands there again where its way gets cheaper with
            more hops. No way comes back to the owner.

    """

    owner: str
    hops_max: int
    ways: dict[str, tuple[Hop, ...]]

    def next_hops(
        self, destination: str, *, hops_left: int | None = None, without: Collection[str] = ()
    ) -> tuple[Hop, ...]:
        """
        To whom to hand on, the best first; the others are for when it fails.

        Args:
            destination: For whom it is.
            hops_left: The most hops that it may still go; by default ``hops_max``.
            without: Neighbours that will not do, such as those who had it already.

        """
        found: dict[str, Hop] = {}
        for hop in self.ways.get(destination, ()):
            if hop.neighbour not in without and (hops_left is None or hop.hops <= hops_left):
                found.setdefault(hop.neighbour, hop)
        return tuple(found.values())


def routes(
    topology: Topology, owner: str, costs: Mapping[Edge, float] | None = None, *, hops_max: int = HOPS_MAX
) -> Routes:
    """
    The ways of one member, by every neighbour.

    Args:
        topology: Who is connected to whom.
        owner: The member.
        costs: More than 0 each; an edge without one costs 1.
        hops_max: The most hops of a way, at least 1.

    Raises:
        ImpossibleTopology: If an edge costs nothing, less, or no number.

    """
    graph = _weighted(topology, costs or {})
    ways: dict[str, list[Hop]] = {}
    for neighbour in topology.neighbours(owner):
        first = float(graph.edges[owner, neighbour]["cost"])
        for destination, cost, hops in _reached(graph, neighbour, first, owner, hops_max):
            ways.setdefault(destination, []).append(Hop(cost, hops, neighbour))
    return Routes(owner=owner, hops_max=hops_max, ways={to: tuple(sorted(found)) for to, found in ways.items()})


def paths(
    topology: Topology, source: str, destination: str, *, count: int = 3, costs: Mapping[Edge, float] | None = None
) -> list[tuple[str, ...]]:
    """
    The cheapest ways from one member to another without a circle, the best first (Yen's algorithm).

    Raises:
        ImpossibleTopology: If there is none, one is no member, or an edge costs nothing, less, or no number.

    """
    graph = _weighted(topology, costs or {})
    try:
        return [tuple(path) for path in islice(nx.shortest_simple_paths(graph, source, destination, "cost"), count)]
    except (nx.NetworkXNoPath, nx.NodeNotFound) as error:
        raise ImpossibleTopology(f"no way from {source} to {destination}") from error


def _weighted(topology: Topology, costs: Mapping[Edge, float]) -> "nx.Graph[str]":
    graph: nx.Graph[str] = nx.Graph(topology.graph)
    for pair in graph.edges:
        graph.edges[pair]["cost"] = checked(costs.get(edge(*pair), 1.0))
    return graph


def _reached(
    graph: "nx.Graph[str]", neighbour: str, first: float, owner: str, hops_max: int
) -> Iterator[tuple[str, float, int]]:
    """Whom a neighbour reaches without coming back (Bellman and Ford, one hop in each round)."""
    best = {neighbour: first, owner: -inf}
    improved, hops = {neighbour: first}, 1
    while improved:
        yield from ((destination, cost, hops) for destination, cost in improved.items())
        hops += 1
        reached: dict[str, float] = {}
        for member, so_far in improved.items() if hops <= hops_max else ():
            for other, link in graph[member].items():
                cost = so_far + link["cost"]
                if cost < min(best.get(other, inf), reached.get(other, inf)):
                    reached[other] = cost
        best.update(reached)
        improved = reached
