"""What a topology is like: the figures that say how far, how dear and how fragile it is."""

from collections import Counter
from itertools import accumulate

import msgspec
import networkx as nx

from aiconexus.sdk.topology.shape import Edge, Topology


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """
    Figures of a topology.

    Attributes:
        members: How many there are.
        edges: How many there are.
        edges_possible: How many a full mesh would have.
        density: Edges divided by possible edges; 1 where no edge is possible.
        degree_min: Neighbours of the member with the fewest.
        degree_max: Neighbours of the member with the most.
        degree_mean: Neighbours on average.
        components: Parts that do not reach each other; 1 is connected.
        diameter: Hops between the two members farthest apart, of those that reach each other.
        path_mean: Hops between two members on average, of those that reach each other.
        clustering: How often two neighbours of a member are neighbours, on average over members.
        within_hops: Share of all pairs that reach each other within 1, 2, 3 … hops, up to the diameter.
        articulation_points: Members whose loss splits the topology.
        bridges: Edges whose loss splits the topology.

    """

    members: int
    edges: int
    edges_possible: int
    density: float
    degree_min: int
    degree_max: int
    degree_mean: float
    components: int
    diameter: int
    path_mean: float
    clustering: float
    within_hops: tuple[float, ...]
    articulation_points: tuple[str, ...]
    bridges: tuple[Edge, ...]

    def share_within(self, hops: int) -> float:
        """Share of all pairs that reach each other within so many hops, of which there is at least one."""
        return self.within_hops[min(hops, self.diameter) - 1] if self.diameter else 1.0


def analyse(topology: Topology) -> Analysis:
    """Compute all figures; time and memory grow with members times edges."""
    graph, count = topology.graph, len(topology.members)
    possible = count * (count - 1) // 2
    degrees = [degree for _, degree in graph.degree]
    at_hops = _pairs_at_hops(graph)
    reached = sum(at_hops)
    return Analysis(
        members=count,
        edges=len(topology.edges),
        edges_possible=possible,
        density=len(topology.edges) / possible if possible else 1.0,
        degree_min=min(degrees),
        degree_max=max(degrees),
        degree_mean=sum(degrees) / count,
        components=nx.number_connected_components(graph),
        diameter=len(at_hops),
        path_mean=sum(hops * pairs for hops, pairs in enumerate(at_hops, 1)) / reached if reached else 0.0,
        clustering=nx.average_clustering(graph),
        within_hops=tuple(pairs / possible for pairs in accumulate(at_hops)),
        articulation_points=tuple(sorted(nx.articulation_points(graph))),
        bridges=tuple(sorted((min(pair), max(pair)) for pair in nx.bridges(graph))),
    )


def _pairs_at_hops(graph: "nx.Graph[str]") -> list[int]:
    """How many pairs are 1, 2, 3 … hops apart."""
    counts: Counter[int] = Counter()
    for _, distances in nx.all_pairs_shortest_path_length(graph):
        counts.update(distances.values())
    return [counts[hops] // 2 for hops in range(1, max(counts) + 1)]
