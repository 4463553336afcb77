"""Bring a k-neighbour topology back to its degrees and into one piece with few changes."""

from collections.abc import Collection, Iterable

import networkx as nx
from msgspec.structs import replace

from aiconexus.sdk.topology.shape import Topology, degree_bounds, edge, rank


def mended(topology: Topology, *, without: Collection[str] = (), plus: Iterable[str] = ()) -> Topology:
    """
    A connected k-neighbour topology of the members that are left or new, near the old one.

    First every part is connected with the greatest, then every member that lacks neighbours finds some: those that
    lack neighbours, too, before those that have room for one more. An edge is closed only where nobody has room.

    Args:
        topology: A connected k-neighbour topology.
        without: Members who are gone.
        plus: Members who are new.

    """
    draft: nx.Graph[str] = nx.Graph(topology.graph)
    draft.remove_nodes_from(without)
    draft.add_nodes_from(plus)
    _Mending(draft, topology.k, topology.seed).run()
    edges = tuple(sorted(edge(*pair) for pair in draft.edges))
    return replace(topology, members=tuple(sorted(draft)), edges=edges)


class _Mending:
    def __init__(self, draft: "nx.Graph[str]", k: int, seed: int) -> None:
        self.draft = draft
        self.seed = seed
        self.least, self.most = degree_bounds(len(draft), k)

    def run(self) -> None:
        while len(parts := sorted(nx.connected_components(self.draft), key=lambda part: (-len(part), min(part)))) > 1:
            self.draft.add_edge(self._with_room(parts[0]), self._with_room(parts[1]))
        while lacking := [member for member in self.draft if self.draft.degree[member] < self.least]:
            member = min(lacking, key=lambda member: (self.draft.degree[member], rank(self.seed, member)))
            self._connect(member)

    def _with_room(self, part: set[str]) -> str:
        """
        Find the member of a part that has the fewest neighbours, or make room.

        Where nobody has room everybody has two neighbours at least, so that there is a cycle to open.
        """
        member = self._fewest(part)
        if self.draft.degree[member] == self.most:
            member, other = min(self._closable(part))
            self.draft.remove_edge(member, other)
        return member

    def _connect(self, member: str) -> None:
        strangers = set(self.draft) - set(self.draft[member]) - {member}
        other = self._fewest(strangers, member)
        if self.draft.degree[other] < self.most:
            self.draft.add_edge(member, other)
        elif self.least - self.draft.degree[member] > 1:
            self._come_between(member, strangers)
        else:
            self._take_over(member, strangers)

    def _come_between(self, member: str, strangers: set[str]) -> None:
        """
        Take the place of an edge, and be its way around.

        A stranger has more neighbours than the member, so that some of them are strangers of the member, too.
        """
        one, other = self._first(self.draft.subgraph(strangers).edges, member)
        self.draft.remove_edge(one, other)
        self.draft.add_edges_from([(member, one), (member, other)])

    def _take_over(self, member: str, strangers: set[str]) -> None:
        """
        Take one end of an edge between two members who have one neighbour more than they need.

        There is one whose loss does not split: were every such edge of a stranger a bridge, then what lies behind it
        would be strangers only, with more than two neighbours each, and a cycle among them.
        """
        full = {other for other in self.draft if self.draft.degree[other] == self.most}
        one, other = self._first(self._closable(full, strangers), member)
        self.draft.remove_edge(one, other)
        self.draft.add_edge(member, one if one in strangers else other)

    def _closable(self, among: Collection[str], strangers: Collection[str] | None = None) -> list[tuple[str, str]]:
        bridges = {edge(*pair) for pair in nx.bridges(self.draft)}
        inside = {edge(*pair) for pair in self.draft.subgraph(among).edges}
        return [pair for pair in inside - bridges if strangers is None or not set(strangers).isdisjoint(pair)]

    def _fewest(self, among: Iterable[str], *salt: str) -> str:
        return min(among, key=lambda member: (self.draft.degree[member], rank(self.seed, *salt, member)))

    def _first(self, edges: Iterable[tuple[str, str]], salt: str) -> tuple[str, str]:
        return min((edge(*pair) for pair in edges), key=lambda pair: rank(self.seed, salt, *pair))
