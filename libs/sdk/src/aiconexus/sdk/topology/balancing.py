"""Spread edges evenly, one move at a time, without ever falling apart."""

import networkx as nx
from msgspec.structs import replace

from aiconexus.sdk.topology.shape import Change, ImpossibleTopology, Kind, Topology, change, edge, rank


def balance(topology: Topology) -> Change:
    """
    Move ends of edges from members with many neighbours to members with few, until they differ by one at most.

    The number of edges stays, and the topology is connected after every move. There is always a move: a member with
    two neighbours more than another has two that the other lacks. Taking one of them away splits the topology only
    where the other member is on its side, and it cannot be on the side of both.

    Returns:
        A k-neighbour topology, k being the mean degree rounded down, but at least 1.

    Raises:
        ImpossibleTopology: If the topology is not connected.

    """
    draft: nx.Graph[str] = nx.Graph(topology.graph)
    if not nx.is_connected(draft):
        raise ImpossibleTopology("what is not connected cannot stay connected")
    while _move(draft, topology.seed):
        pass
    edges = tuple(sorted(edge(*pair) for pair in draft.edges))
    k = max(2 * len(edges) // len(topology.members), 1)
    return change(topology, replace(topology, kind=Kind.K_NEIGHBOUR, edges=edges, k=k, hubs=(), shards=()))


def _move(draft: "nx.Graph[str]", seed: int) -> bool:
    order = sorted(draft, key=lambda member: (draft.degree[member], rank(seed, member)))
    few, many = order[0], order[-1]
    if draft.degree[many] - draft.degree[few] <= 1:
        return False
    lacking = sorted(set(draft[many]) - set(draft[few]) - {few}, key=lambda member: rank(seed, few, member))
    draft.remove_edge(many, lacking[0])
    draft.add_edge(few, lacking[0])
    if not nx.has_path(draft, many, lacking[0]):
        draft.remove_edges_from([(few, lacking[0]), (many, lacking[1])])
        draft.add_edges_from([(many, lacking[0]), (few, lacking[1])])
    return True
