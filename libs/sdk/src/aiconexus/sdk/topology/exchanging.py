"""Exchanges of edges that somebody else decided on: done where they do no harm, passed over where they would."""

from collections.abc import Iterable

import networkx as nx
from msgspec.structs import replace

from aiconexus.sdk.topology.shape import Edge, Kind, Topology, degree_bounds, edge
from aiconexus.sdk.topology.sharding import inside

Exchange = tuple[tuple[Edge, ...], tuple[Edge, ...]]
"""What is closed, and what is opened for it."""


def exchanged(topology: Topology, exchanges: Iterable[Exchange]) -> Topology:
    """
    Make exchanges one after the other.

    One is passed over if an edge that it closes is not there or one that it opens is, if a degree would leave its
    bounds, or if members would be cut off; in a sharded topology, if it is not inside of one shard. Whoever has the
    same topology and exchanges comes to the same result.
    """
    for closed, opened in exchanges:
        topology = _made(topology, {edge(*pair) for pair in closed}, {edge(*pair) for pair in opened})
    return topology


def _made(topology: Topology, closed: set[Edge], opened: set[Edge]) -> Topology:
    room = _room_for(topology, closed | opened)
    if room is None or not closed.issubset(room.edges) or not opened.isdisjoint(room.edges):
        return topology
    draft: nx.Graph[str] = nx.Graph(room.graph)
    draft.remove_edges_from(closed)
    draft.add_edges_from(opened)
    least, most = degree_bounds(len(room.members), room.k)
    if not all(least <= degree <= most for _, degree in draft.degree) or not nx.is_connected(draft):
        return topology
    return replace(topology, edges=tuple(sorted(opened.union(topology.edges) - closed)))


def _room_for(topology: Topology, edges: set[Edge]) -> Topology | None:
    """The part of a topology that may exchange these edges."""
    ends = {member for pair in edges for member in pair if pair[0] != pair[1]}
    if topology.kind is Kind.SHARDED:
        return next((inside(topology, shard) for shard in topology.shards if ends.issubset(shard.members)), None)
    return topology if topology.kind is Kind.K_NEIGHBOUR and ends.issubset(topology.members) else None
