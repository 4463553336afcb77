import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.mesh.membership import ADMITTED_MAX, MEMBERS_MAX, Membership
from aiconexus.sdk.topology import ImpossibleTopology, join, k_neighbour, leave, ring, sharded

NAMES = [f"m{number:02}" for number in range(20)]
BASE = k_neighbour(NAMES, 4, seed=3)
EXCHANGE = ((BASE.edges[0],), ())


def make(us: str = "m00", now: float = 0.0) -> Membership:
    """One member's view."""
    return Membership(BASE, us, gone_seconds=3.0, absent_seconds=30.0, now=now)


def seen(membership: Membership) -> Membership:
    """Everybody was there."""
    for name in NAMES:
        membership.note_presence(name, online=True, now=0.0)
    return membership


def test_member_that_is_away_too_long_is_let_go() -> None:
    """The others close the gap after a while, and open it again when it is back."""
    membership = seen(make())
    membership.note_presence("m07", online=False, now=10.0)

    assert not membership.is_here("m07")
    assert not membership.look(12.9)
    assert membership.look(13.0)
    assert leave(BASE, ["m07"]).topology == membership.topology
    assert {"m07"} == membership.gone
    membership.note_presence("m07", online=True, now=20.0)
    assert membership.look(20.0)
    assert BASE == membership.topology


def test_who_was_never_there_gets_more_time() -> None:
    """Agents start one after the other."""
    membership = make(now=100.0)
    membership.note_presence("m07", online=False, now=101.0)

    assert not membership.look(129.9)
    assert membership.look(130.0)


def test_short_absence_changes_nothing() -> None:
    """Whoever comes back at once was never gone."""
    membership = seen(make())
    membership.note_presence("m07", online=False, now=10.0)
    membership.note_presence("m07", online=False, now=12.0)
    membership.note_presence("m07", online=True, now=12.5)

    assert not membership.look(99.0)


@given(order=st.permutations(["m03", "m07", "m11"]), first=st.permutations(["x", "y"]))
def test_order_of_events_does_not_count(order: list[str], first: list[str]) -> None:
    """Members who heard of the same events in any order agree."""
    one, other = seen(make()), seen(make("m01"))
    for number, name in enumerate(order):
        one.note_presence(name, online=False, now=number)
        one.look(number + 5.0)
    for name in (*first, "m03", "m07", "m11"):
        other.admit(name) if len(name) == 1 else other.note_presence(name, online=False, now=0.0)
    other.look(5.0)
    for name in reversed(first):
        one.admit(name)

    assert one.topology == other.topology
    assert nx.is_connected(one.topology.graph)


def test_we_are_always_here() -> None:
    """What others say of us, and of strangers, does not count."""
    membership = make()
    membership.note_presence("m00", online=False, now=0.0)
    membership.note_presence("stranger", online=False, now=0.0)

    assert not membership.look(99.0)


def test_newcomer_is_admitted_once() -> None:
    """It joins as the topology says."""
    membership = make()

    assert membership.admit("new")
    assert not membership.admit("new")
    assert not membership.admit("m03")
    assert join(BASE, "new").topology == membership.topology
    assert "new" in membership.everybody


def test_newcomer_to_an_unknown_shard_is_refused() -> None:
    """And leaves no trace."""
    base = sharded({"here": NAMES[:9], "there": NAMES[9:]}, 4)
    membership = Membership(base, "m00", gone_seconds=3.0, absent_seconds=30.0, now=0.0)
    with pytest.raises(ImpossibleTopology):
        membership.admit("new", "mars")

    assert "new" not in membership.everybody
    assert membership.admit("new", "here")


def test_members_are_bounded() -> None:
    """No member can have the others keep more and more."""
    base = ring([f"m{number:04}" for number in range(MEMBERS_MAX)])
    membership = Membership(base, "m0000", gone_seconds=3.0, absent_seconds=30.0, now=0.0)
    with pytest.raises(ImpossibleTopology, match="2048 members, 0 of them admitted"):
        membership.admit("new")


def test_admissions_of_others_are_placed_together() -> None:
    """However many a member admits, the topology is computed once, at the next look, and their number is bounded."""
    membership = make()
    before = membership.topology
    names = [f"new {number:03}" for number in range(ADMITTED_MAX)]

    assert all(membership.note_admitted(name) for name in names[:3])
    assert before is membership.topology
    assert membership.look(1.0)
    assert {*NAMES, *names[:3]} == set(membership.topology.members)
    assert not membership.look(1.0)
    for name in names[3:]:
        membership.note_admitted(name)
    with pytest.raises(ImpossibleTopology, match="256 of them"):
        membership.note_admitted("one more")
    assert "one more" not in membership.everybody


def test_newer_exchanges_count() -> None:
    """Of two decisions the one with the higher number counts."""
    membership = make()

    assert membership.exchange(2, (EXCHANGE,))
    assert not membership.exchange(2, ())
    assert not membership.exchange(1, ())
    assert (2, (EXCHANGE,)) == (membership.number, membership.exchanges)
