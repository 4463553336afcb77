from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import Edge, ImpossibleTopology, Routes, Topology, edge, k_neighbour, paths, ring, routes

from .meshes import HUNDRED, connected, members, of_edges

SQUARE = of_edges([("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])


@st.composite
def weighted(draw: st.DrawFn) -> tuple[Topology, dict[Edge, float]]:
    """A connected topology whose edges cost something, in steps that add up exactly."""
    mesh = draw(connected())
    return mesh, {pair: draw(st.integers(1, 64)) / 8 for pair in mesh.edges}


def tables(mesh: Topology, costs: dict[Edge, float], hops_max: int) -> dict[str, Routes]:
    """The ways of everybody."""
    return {member: routes(mesh, member, costs, hops_max=hops_max) for member in mesh.members}


def way(found: dict[str, Routes], source: str, destination: str, hops_left: int) -> list[str]:
    """Where a message goes that everybody hands to the first it should go to."""
    gone = [source]
    while gone[-1] != destination:
        gone.append(found[gone[-1]].next_hops(destination, hops_left=hops_left)[0].neighbour)
        hops_left -= 1
    return gone


@given(drawn=weighted())
def test_messages_take_the_cheapest_way(drawn: tuple[Topology, dict[Edge, float]]) -> None:
    """Hop by hop a message goes the cheapest way there is, and nobody sees it twice."""
    mesh, costs = drawn
    found = tables(mesh, costs, len(mesh.members))
    graph = nx.Graph([(*pair, {"weight": cost}) for pair, cost in costs.items()])
    gone = way(found, mesh.members[0], mesh.members[-1], len(mesh.members))

    assert len(gone) == len(set(gone))
    assert nx.path_weight(graph, gone, "weight") == nx.dijkstra_path_length(graph, gone[0], gone[-1])


@given(drawn=weighted(), hops_max=st.integers(1, 5))
def test_messages_arrive_with_the_hops_they_have(drawn: tuple[Topology, dict[Edge, float]], hops_max: int) -> None:
    """Whom few hops reach a dear way reaches where the cheap one is too long; others are not promised."""
    mesh, costs = drawn
    found = tables(mesh, costs, hops_max)
    source = mesh.members[0]
    near = nx.single_source_shortest_path_length(mesh.graph, source, cutoff=hops_max)

    assert set(near) - {source} == set(found[source].ways)
    assert [to for to in found[source].ways if len(way(found, source, to, hops_max)) > hops_max + 1] == []


@given(mesh=connected())
def test_every_neighbour_that_leads_there_is_an_alternative(mesh: Topology) -> None:
    """All neighbours but those whose every way comes back are offered, the nearest first."""
    source, target = mesh.members[0], mesh.members[-1]
    offered = routes(mesh, source, hops_max=len(mesh.members)).next_hops(target)
    rest = nx.Graph(mesh.graph)
    rest.remove_node(source)

    assert {other for other in mesh.neighbours(source) if nx.has_path(rest, other, target)} == {
        hop.neighbour for hop in offered
    }
    assert sorted(offered) == list(offered)


def test_alternatives_leave_out_who_failed() -> None:
    """Where one neighbour fails the other is offered; where both do nobody is."""
    found = routes(SQUARE, "a")

    assert ["b", "d"] == [hop.neighbour for hop in found.next_hops("c")]
    assert ["d"] == [hop.neighbour for hop in found.next_hops("c", without={"b"})]
    assert () == found.next_hops("c", without={"b", "d"})
    assert () == found.next_hops("nobody")


def test_few_hops_left_take_the_dear_way() -> None:
    """A cheap way of three hops is no use to a message that may go one."""
    found = routes(SQUARE, "a", {("a", "d"): 9.0})

    assert [("b", 3.0, 3), ("d", 9.0, 1)] == [(hop.neighbour, hop.cost, hop.hops) for hop in found.next_hops("d")]
    assert ["d"] == [hop.neighbour for hop in found.next_hops("d", hops_left=2)]


def test_neighbour_stands_there_for_each_bargain() -> None:
    """A neighbour with a short dear way and a long cheap one offers what fits."""
    mesh = of_edges([("a", "b"), ("b", "e"), ("b", "c"), ("c", "e")])
    found = routes(mesh, "a", {("b", "e"): 9.0})

    assert [3.0] == [hop.cost for hop in found.next_hops("e")]
    assert [10.0] == [hop.cost for hop in found.next_hops("e", hops_left=2)]


def test_hundred_agents_reach_everybody_in_three_hops() -> None:
    """With twenty neighbours each, three hops are enough, and everybody is offered many ways."""
    found = routes(k_neighbour(HUNDRED, 20, seed=7), HUNDRED[0], hops_max=3)

    assert set(HUNDRED[1:]) == set(found.ways)
    assert min(len(found.next_hops(to)) for to in found.ways) > 10


def test_longer_ways_are_not_promised() -> None:
    """Eight hops reach sixteen of the others in a ring."""
    mesh = ring(members(60))

    assert 16 == len(routes(mesh, mesh.members[0]).ways)


@given(drawn=weighted())
def test_paths_are_the_best_without_circles(drawn: tuple[Topology, dict[Edge, float]]) -> None:
    """Every path is one, differs from the others, and costs no less than the one before."""
    mesh, costs = drawn
    found = paths(mesh, mesh.members[0], mesh.members[-1], count=4, costs=costs)
    prices = [sum(costs[edge(*pair)] for pair in pairwise(path)) for path in found]

    assert sorted(prices) == prices
    assert len(found) == len(set(found))
    assert [path for path in found if len(path) != len(set(path))] == []


def test_no_path_is_told() -> None:
    """Parts that do not reach each other have no way."""
    with pytest.raises(ImpossibleTopology, match="no way from a to d"):
        paths(of_edges([("a", "b"), ("c", "d")]), "a", "d")


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_every_edge_costs_something(cost: float) -> None:
    """What is free could go in circles."""
    with pytest.raises(ImpossibleTopology, match="costs"):
        routes(SQUARE, "a", {("a", "b"): cost})


def test_stranger_has_no_path() -> None:
    """Who is no member is told as such."""
    with pytest.raises(ImpossibleTopology, match="no way from a to nobody"):
        paths(SQUARE, "a", "nobody")
