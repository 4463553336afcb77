"""Exchange edges that turned bad for better ones: rarely, few at a time, and never at the price of the whole."""

from collections.abc import Callable, Iterator, Mapping
from statistics import median

import msgspec
import networkx as nx
from msgspec.structs import replace

from aiconexus.sdk.topology.exchanging import Exchange
from aiconexus.sdk.topology.shape import Change, Edge, Kind, Topology, change, degree_bounds, edge, rank
from aiconexus.sdk.topology.sharding import inside, joined
from aiconexus.sdk.topology.weighing import checked


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """
    When an edge is exchanged.

    Attributes:
        bad_factor: An edge that costs more than so many times the median has one bad round more.
        good_factor: One that costs at most so many times the median has none; in between nothing changes.
        rounds: Bad rounds after which an edge is exchanged.
        gain_min: Least share of the cost of what is closed that an exchange must save.
        exchanges_max: Exchanges in one round at most.

    """

    bad_factor: float = 2.0
    good_factor: float = 1.5
    rounds: int = 3
    gain_min: float = 0.2
    exchanges_max: int = 2


class Adaptation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one round of measurements led to.

    Attributes:
        change: What to open and close.
        bad_rounds: To be given to the next round.

    """

    change: Change
    bad_rounds: dict[Edge, int]


STANDARD = Rules()


def adapt(
    topology: Topology, costs: Mapping[Edge, float], bad_rounds: Mapping[Edge, int], rules: Rules = STANDARD
) -> Adaptation:
    """
    Exchange bad edges, each alone or with another one whose ends it takes over crosswise.

    What an edge would cost that is not there is what was measured when it was, or else what the cheapest way around
    costs. Degrees stay within their bounds. What is connected stays connected, and what the loss of no single member
    splits stays so. Only k-neighbour topologies and the insides of shards have edges to choose from.

    Args:
        topology: What is there.
        costs: As measured, more than 0 each; edges without a figure count as the median.
        bad_rounds: As the round before returned them.
        rules: How eager to be.

    Raises:
        ImpossibleTopology: If an edge costs nothing, less, or no number.

    """
    for value in costs.values():
        checked(value)
    if topology.kind is Kind.K_NEIGHBOUR:
        draft = _Draft(topology, costs)
        counted = draft.count(bad_rounds, rules)
        draft.exchange(_worn(counted, rules), rules.gain_min, rules.exchanges_max)
        return _adaptation(topology, replace(topology, edges=draft.edges()), counted)
    if topology.kind is Kind.SHARDED:
        return _adapt_shards(topology, costs, bad_rounds, rules)
    return _adaptation(topology, topology, {})


def _adapt_shards(
    topology: Topology, costs: Mapping[Edge, float], bad_rounds: Mapping[Edge, int], rules: Rules
) -> Adaptation:
    parts, counted, room = [], dict[Edge, int](), rules.exchanges_max
    for shard in topology.shards:
        draft = _Draft(inside(topology, shard), costs)
        found = draft.count(bad_rounds, rules)
        room -= draft.exchange(_worn(found, rules), rules.gain_min, room)
        counted.update(found)
        parts.append(replace(draft.topology, edges=draft.edges()))
    return _adaptation(topology, joined(topology.shards, parts, topology.k, topology.seed), counted)


def _adaptation(before: Topology, after: Topology, counted: Mapping[Edge, int]) -> Adaptation:
    left = set(after.edges)
    return Adaptation(
        change=change(before, after), bad_rounds={pair: bad for pair, bad in counted.items() if bad and pair in left}
    )


def _worn(counted: Mapping[Edge, int], rules: Rules) -> list[Edge]:
    return [pair for pair, bad in counted.items() if bad >= rules.rounds]


class _Draft:
    def __init__(self, topology: Topology, costs: Mapping[Edge, float]) -> None:
        self.topology = topology
        self.known = costs
        self.median = median([costs[pair] for pair in topology.edges if pair in costs] or [1.0])
        self.graph: nx.Graph[str] = nx.Graph(topology.graph)
        self.least, self.most = degree_bounds(len(topology.members), topology.k)
        for one, other in topology.edges:
            self.graph.edges[one, other]["cost"] = costs.get((one, other), self.median)

    def edges(self) -> tuple[Edge, ...]:
        return tuple(sorted(edge(*pair) for pair in self.graph.edges))

    def cost(self, pair: Edge) -> float:
        return float(self.graph.edges[pair]["cost"])

    def count(self, bad_rounds: Mapping[Edge, int], rules: Rules) -> dict[Edge, int]:
        """The bad rounds of edges that are not good, this one included."""
        counted: dict[Edge, int] = {}
        for pair in self.topology.edges:
            cost, so_far = self.cost(pair), bad_rounds.get(pair, 0)
            if cost > rules.bad_factor * self.median:
                counted[pair] = so_far + 1
            elif cost > rules.good_factor * self.median:
                counted[pair] = so_far
        return counted

    def exchange(self, worn: list[Edge], gain_min: float, room: int) -> int:
        """Exchange the dearest edges, and say how many it were."""
        done = 0
        for pair in sorted(worn, key=lambda pair: (-self.cost(pair), pair)):
            if done < room and self.graph.has_edge(*pair):
                done += self._exchange(pair, gain_min)
        return done

    def _exchange(self, pair: Edge, gain_min: float) -> bool:
        price = self._prices(pair)
        gains: list[tuple[float, bytes, Exchange]] = []
        for closed, opened in (*self._moves(pair), *self._crossings(pair)):
            before = sum(map(self.cost, closed))
            gain = before - sum(map(price, opened))
            if gain >= gain_min * before:
                gains.append((-gain, rank(self.topology.seed, *opened[0]), (closed, opened)))
        is_whole = nx.is_biconnected if nx.is_biconnected(self.graph) else nx.is_connected
        return any(self._try(closed, opened, price, is_whole) for _, _, (closed, opened) in sorted(gains))

    def _try(
        self,
        closed: tuple[Edge, ...],
        opened: tuple[Edge, ...],
        price: Callable[[Edge], float],
        is_whole: "Callable[[nx.Graph[str]], bool]",
    ) -> bool:
        before = self.graph.copy()
        self.graph.remove_edges_from(closed)
        for one, other in opened:
            self.graph.add_edge(one, other, cost=price((one, other)))
        if is_whole(self.graph):
            return True
        self.graph = before
        return False

    def _moves(self, pair: Edge) -> Iterator[Exchange]:
        """One end stays, the other one can do without a neighbour, and a third has room for one."""
        degree = self.graph.degree
        for stays, goes in (pair, pair[::-1]):
            if degree[goes] > self.least:
                for third in self.topology.members:
                    if degree[third] < self.most and third not in {*pair, *self.graph[stays]}:
                        yield (pair,), (edge(stays, third),)

    def _crossings(self, pair: Edge) -> Iterator[Exchange]:
        """Two edges exchange their ends; no degree changes."""
        near, far = set(self.graph[pair[0]]), set(self.graph[pair[1]])
        for other in self.graph.edges:
            if set(pair).isdisjoint(other):
                for one, two in (other, other[::-1]):
                    if one not in near and two not in far:
                        yield (pair, edge(*other)), (edge(pair[0], one), edge(pair[1], two))

    def _prices(self, pair: Edge) -> Callable[[Edge], float]:
        """What edges of the two ends would cost."""
        around = {end: nx.single_source_dijkstra_path_length(self.graph, end, weight="cost") for end in pair}

        def price(new: Edge) -> float:
            here, there = new if new[0] in around else new[::-1]
            return float(self.known[new] if new in self.known else around[here][there])

        return price
