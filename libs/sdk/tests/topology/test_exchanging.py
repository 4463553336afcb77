import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import Edge, Exchange, Rules, Topology, adapt, exchanged, full, k_neighbour, sharded
from aiconexus.sdk.topology.shape import degree_bounds

from .meshes import is_whole, members, meshes, of_edges, spread

SIX = of_edges([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("a", "f")], k=2)


@given(mesh=meshes(least=4), data=st.data())
def test_decision_leads_where_it_was_made(mesh: Topology, data: st.DataObject) -> None:
    """Who is told of an exchange comes to the topology of whoever decided on it."""
    bad = data.draw(st.sampled_from(mesh.edges))
    found = adapt(mesh, dict.fromkeys(mesh.edges, 0.01) | {bad: 1.0}, {}, Rules(rounds=1)).change

    assert found.topology == exchanged(mesh, [(found.closed, found.opened)])


@given(mesh=meshes(least=2), data=st.data())
def test_no_exchange_does_harm(mesh: Topology, data: st.DataObject) -> None:
    """Whatever somebody asks for, it stays connected and the degrees within their bounds."""
    ends = st.sampled_from([*mesh.members, "nobody"])
    pairs = st.lists(st.tuples(ends, ends), max_size=3).map(tuple)
    asked: list[Exchange] = data.draw(st.lists(st.tuples(pairs, pairs), max_size=5))
    after = exchanged(mesh, asked)
    least, most = degree_bounds(len(mesh.members), mesh.k)

    assert is_whole(after)
    assert least <= spread(after)[0] <= spread(after)[1] <= most
    assert mesh.members == after.members


@pytest.mark.parametrize(
    ("closed", "opened"),
    [
        ((("a", "c"),), (("a", "d"),)),
        ((("a", "b"), ("d", "e")), (("b", "c"), ("a", "f"))),
        ((("a", "b"),), (("c", "e"),)),
        ((("a", "b"), ("d", "e")), (("a", "e"), ("b", "d"))),
        ((("a", "b"), ("d", "e")), (("a", "a"), ("b", "e"))),
    ],
    ids=["closed already", "open already", "degree", "split", "itself"],
)
def test_harmful_exchange_is_passed_over(closed: tuple[Edge, ...], opened: tuple[Edge, ...]) -> None:
    """What does not fit, or would split the circle, changes nothing."""
    assert SIX == exchanged(SIX, [(closed, opened)])


def test_exchanges_follow_each_other() -> None:
    """One that was undone is as if it had never been made."""
    there: Exchange = ((("a", "b"), ("d", "e")), (("a", "d"), ("b", "e")))

    assert SIX != exchanged(SIX, [there])
    assert SIX == exchanged(SIX, [there, there[::-1]])


def test_shards_exchange_inside() -> None:
    """An exchange between shards is passed over, one inside is made."""
    mesh = sharded({"here": members(40)[:20], "there": members(40)[20:]}, 6)
    inner = next(pair for pair in mesh.edges if set(mesh.shards[0].members).issuperset(pair))
    found = adapt(mesh, dict.fromkeys(mesh.edges, 0.01) | {inner: 1.0}, {}, Rules(rounds=1)).change
    across = ((found.closed[0],), ((members(40)[0], members(40)[39]),))

    assert found.topology == exchanged(mesh, [(found.closed, found.opened)])
    assert mesh == exchanged(mesh, [across])


def test_other_kinds_have_nothing_to_exchange() -> None:
    """Their edges follow from what they are."""
    mesh = full(members(4))

    assert mesh == exchanged(mesh, [((mesh.edges[0],), ())])
    assert k_neighbour(members(9), 4) == exchanged(k_neighbour(members(9), 4), [])
