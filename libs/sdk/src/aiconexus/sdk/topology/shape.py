"""Who is connected to whom: the value that everything about a mesh is computed from."""

from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b

import msgspec
import networkx as nx

from aiconexus.protocol.errors import AiconexusError

Edge = tuple[str, str]
"""Two members, the smaller first."""


class Kind(StrEnum):
    """How the edges were chosen."""

    FULL = "full"
    K_NEIGHBOUR = "k-neighbour"
    HUB_SPOKE = "hub-spoke"
    RING = "ring"
    SHARDED = "sharded"


class ImpossibleTopology(AiconexusError, ValueError):
    """What was asked for does not exist."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"no such topology: {self.reason}"


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """
    Members that are near each other.

    Attributes:
        name: Their region.
        members: In order.
        gateways: Those that are connected to other shards, too; their order says to whom.

    """

    name: str
    members: tuple[str, ...]
    gateways: tuple[str, ...]


class Topology(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """
    Members and the connections between them.

    Attributes:
        kind: What rule the edges follow, and follow again after members came or went.
        seed: Where choices were free, it made them.
        members: DIDs in order, each once.
        edges: In order, each once, the smaller end first.
        k: Neighbours that each member has at least, in a k-neighbour topology and inside shards; else 0.
        hubs: Members that others depend on: the hubs, or all gateways.
        shards: In the order of their names; empty where there are none.

    """

    kind: Kind
    seed: int
    members: tuple[str, ...]
    edges: tuple[Edge, ...]
    k: int = 0
    hubs: tuple[str, ...] = ()
    shards: tuple[Shard, ...] = ()

    @cached_property
    def graph(self) -> "nx.Graph[str]":
        """The same for networkx; it refuses changes."""
        graph: nx.Graph[str] = nx.Graph()
        graph.add_nodes_from(self.members)
        graph.add_edges_from(self.edges)
        nx.freeze(graph)
        return graph

    @cached_property
    def _neighbours(self) -> dict[str, tuple[str, ...]]:
        return {member: tuple(sorted(self.graph[member])) for member in self.members}

    def neighbours(self, member: str) -> tuple[str, ...]:
        """Whom a member is connected to, in order."""
        return self._neighbours[member]

    def degree(self, member: str) -> int:
        """How many neighbours a member has."""
        return len(self._neighbours[member])


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """
    A topology, and what makes it out of the one before.

    Attributes:
        topology: The new one.
        opened: Edges that it has and the old one had not.
        closed: Edges that the old one had; those of members who left are not among them.

    """

    topology: Topology
    opened: tuple[Edge, ...]
    closed: tuple[Edge, ...]


def edge(one: str, other: str) -> Edge:
    """The edge between two members."""
    return (one, other) if one < other else (other, one)


def rank(seed: int, *names: str) -> bytes:
    """A member's place among all: drawn by the seed, and the same whoever else is there."""
    return blake2b("\n".join((str(seed), *names)).encode(), digest_size=8).digest()


def opener(one: str, other: str) -> str:
    """Which end of an edge opens it: a coin that both ends toss alike, so that nobody has to open more than others."""
    pair = edge(one, other)
    return pair[rank(0, *pair)[0] % 2]


def ranked(members: Iterable[str], seed: int) -> tuple[str, ...]:
    """
    All members in the order that the seed draws.

    Raises:
        ImpossibleTopology: If there are none.

    """
    order = tuple(sorted(set(members), key=lambda member: (rank(seed, member), member)))
    if not order:
        raise ImpossibleTopology("it has no members")
    return order


def degree_bounds(members: int, k: int) -> tuple[int, int]:
    """
    The least and the greatest degree in a k-neighbour topology.

    Members with an odd sum of degrees cannot all have k neighbours, and among k members or fewer nobody can.
    """
    return min(k, members - 1), min(k + 1, members - 1)


def change(before: Topology, after: Topology) -> Change:
    """What has to be opened and closed."""
    old, new, members = set(before.edges), set(after.edges), set(after.members)
    closed = tuple(pair for pair in before.edges if pair not in new and members.issuperset(pair))
    return Change(topology=after, opened=tuple(pair for pair in after.edges if pair not in old), closed=closed)
