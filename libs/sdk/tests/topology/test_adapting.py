from collections.abc import Mapping

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import Edge, ImpossibleTopology, Rules, Topology, adapt, edge, full, k_neighbour, sharded
from aiconexus.sdk.topology.adapting import STANDARD, Adaptation
from aiconexus.sdk.topology.shape import degree_bounds

from .meshes import HUNDRED, applied, is_whole, members, meshes, of_edges, spread

SOON = Rules(rounds=1)


def even(mesh: Topology, worse: Mapping[Edge, float]) -> dict[Edge, float]:
    """Costs of 10 ms everywhere but where they are worse."""
    return dict.fromkeys(mesh.edges, 0.01) | dict(worse)


def after(mesh: Topology, costs: Mapping[Edge, float], rounds: int, rules: Rules = STANDARD) -> list[Adaptation]:
    """What rounds with the same figures do."""
    found = [adapt(mesh, costs, {}, rules)]
    for _ in range(rounds - 1):
        found.append(adapt(found[-1].change.topology, costs, found[-1].bad_rounds, rules))
    return found


@given(mesh=meshes(), data=st.data(), rounds=st.integers(1, 4))
def test_mesh_stays_sound(mesh: Topology, data: st.DataObject, rounds: int) -> None:
    """Whatever is measured, it is connected, the degrees are within their bounds, and few edges change."""
    figures = data.draw(
        st.dictionaries(st.sampled_from(mesh.edges), st.floats(0.001, 1)) if mesh.edges else st.just({})
    )
    found = after(mesh, figures, rounds, SOON)
    least, most = degree_bounds(len(mesh.members), mesh.k)

    assert [step for step in found if not is_whole(step.change.topology)] == []
    assert [step for step in found if len(step.change.closed) > 2 * SOON.exchanges_max] == []
    assert least <= min(spread(step.change.topology)[0] for step in found) or mesh.k == 1
    assert max(spread(step.change.topology)[1] for step in found) <= most


@given(mesh=meshes(least=4), data=st.data())
def test_change_leads_to_the_new_topology(mesh: Topology, data: st.DataObject) -> None:
    """What is opened and closed is the difference; everybody with the same figures finds the same."""
    bad = data.draw(st.sampled_from(mesh.edges))
    found = adapt(mesh, even(mesh, {bad: 1.0}), {}, SOON)

    assert found == adapt(mesh, even(mesh, {bad: 1.0}), {}, SOON)
    assert set(found.change.topology.edges) == applied(mesh.edges, found.change.opened, found.change.closed)


def test_bad_edge_is_exchanged_after_three_rounds() -> None:
    """Two bad rounds change nothing; the third closes the edge and keeps every degree."""
    mesh = k_neighbour(HUNDRED, 20, seed=7)
    bad = mesh.edges[123]
    found = after(mesh, even(mesh, {bad: 0.3}), 3)

    assert [(), (), 2] == [step.change.closed and len(step.change.closed) for step in found]
    assert {bad: 2} == found[1].bad_rounds
    assert bad in found[2].change.closed
    assert {} == found[2].bad_rounds
    assert (20, 20) == spread(found[2].change.topology)
    assert nx.is_biconnected(found[2].change.topology.graph)


@pytest.mark.parametrize(("figure", "bad_rounds"), [(0.021, 3), (0.018, 2), (0.014, 0)], ids=["bad", "between", "good"])
def test_rounds_are_counted_with_hysteresis(figure: float, bad_rounds: int) -> None:
    """Between bad and good the count neither grows nor falls."""
    mesh = k_neighbour(members(8), 3)
    bad = mesh.edges[0]

    assert bad_rounds == adapt(mesh, even(mesh, {bad: figure}), {bad: 2}, Rules(rounds=9)).bad_rounds.get(bad, 0)


def test_no_more_than_two_exchanges_in_a_round() -> None:
    """Where much is bad at once the worst goes first, and the mesh is not turned over."""
    mesh = k_neighbour(members(40), 6)
    worse = {pair: 0.1 + number / 100 for number, pair in enumerate(mesh.edges[:30:3])}
    found = adapt(mesh, even(mesh, worse), {}, SOON)

    assert 4 == len(found.change.closed)
    assert max(worse, key=lambda pair: worse[pair]) in found.change.closed


def test_slow_member_keeps_its_edges() -> None:
    """Where every edge of a member is bad no other edge of it is better."""
    mesh = k_neighbour(members(40), 6)
    slow = mesh.members[0]
    found = after(mesh, even(mesh, {edge(slow, other): 0.5 for other in mesh.neighbours(slow)}), 4)

    assert mesh == found[-1].change.topology


def test_third_with_room_takes_over() -> None:
    """Where degrees allow it, one edge is exchanged alone."""
    mesh = of_edges([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("a", "e"), ("b", "d")], k=2)
    found = adapt(mesh, even(mesh, {("b", "d"): 1.0}), {}, SOON).change

    assert (("b", "d"),) == found.closed
    assert 1 == len(found.opened)
    assert (2, 3) == spread(found.topology)


def test_exchange_that_would_split_is_not_made() -> None:
    """The best exchange of a bridge may be none; another one is tried."""
    left = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("a", "c")]
    right = [("w", "x"), ("x", "y"), ("y", "z"), ("w", "z"), ("w", "y")]
    mesh = of_edges([*left, *right, ("d", "z")], k=2)
    found = adapt(mesh, even(mesh, {("d", "z"): 1.0}), {}, SOON).change

    assert is_whole(found.topology)


def test_known_price_counts_more_than_the_way_around() -> None:
    """What was measured before it was closed is believed."""
    mesh = k_neighbour(members(8), 3)
    bad = mesh.edges[0]
    others = {edge(one, other): 5.0 for one in mesh.members for other in mesh.members if one < other}
    found = adapt(mesh, others | even(mesh, {bad: 1.0}), {}, SOON)

    assert () == found.change.opened


def test_shards_adapt_inside() -> None:
    """A bad edge inside of a shard is exchanged there; one between shards has no other."""
    mesh = sharded({"here": members(40)[:20], "there": members(40)[20:]}, 6)
    here = set(mesh.shards[0].members)
    inner = next(pair for pair in mesh.edges if here.issuperset(pair))
    outer = next(pair for pair in mesh.edges if len(here.intersection(pair)) == 1)
    found = adapt(mesh, even(mesh, {inner: 1.0, outer: 2.0}), {}, SOON).change

    assert inner in found.closed
    assert outer not in found.closed
    assert [pair for pair in found.opened if not here.issuperset(pair)] == []


def test_full_mesh_has_no_choice() -> None:
    """Only k-neighbour topologies and shards have edges to choose from."""
    mesh = full(members(5))

    assert mesh == adapt(mesh, even(mesh, {mesh.edges[0]: 1.0}), {}, SOON).change.topology


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_cost_that_is_none_is_refused(cost: float) -> None:
    """Nothing is exchanged for what cannot have been measured."""
    mesh = k_neighbour(members(6), 3)
    with pytest.raises(ImpossibleTopology, match="costs"):
        adapt(mesh, even(mesh, {mesh.edges[0]: cost}), {})
