from aiconexus.identity.roster import Roster
from aiconexus.protocol.bodies import Road

from .people import IN_ORDER, PEOPLE, presence, record, roster

TOKEN = PEOPLE[0].token


def test_an_older_revision_changes_nothing() -> None:
    """Whatever order our own writes and the watch come in, the newest revision stays."""
    found = Roster()
    found.apply_record(TOKEN, record(TOKEN, name="new"), 7)
    found.apply_record(TOKEN, record(TOKEN, name="old"), 6)
    found.apply_presence(TOKEN, None, 9)
    found.apply_presence(TOKEN, presence(TOKEN), 8)

    known = found.get(TOKEN)
    assert known is not None
    assert known.record is not None
    assert ("new", None) == (known.record.name, known.presence)


def test_a_changed_record_moves_in_every_order() -> None:
    """An agent is found under what it says now, not under what it said before."""
    found = Roster()
    found.apply_record(TOKEN, record(TOKEN, name="a", capabilities=("x", "y")), 1)
    found.apply_record(TOKEN, record(TOKEN, name="b", capabilities=("y", "z")), 2)

    assert [[], [TOKEN]] == [list(found.named(name).after("")) for name in "ab"]
    assert [[], [TOKEN], [TOKEN]] == [list(found.capable(each).after("")) for each in "xyz"]
    assert [TOKEN] == list(found.everybody.after(""))


def test_a_revoked_agent_is_listed_nowhere() -> None:
    """A void key is known, but in no list."""
    found = Roster()
    found.apply_record(TOKEN, record(TOKEN, name="a", capabilities=("x",)), 1)
    found.apply_presence(TOKEN, presence(TOKEN), 2)
    found.apply_record(TOKEN, record(TOKEN, name="a", capabilities=("x",), revoked_ms=5), 3)

    lists = (found.everybody, found.online, found.named("a"), found.capable("x"))
    assert [0, 0, 0, 0] == [len(each) for each in lists]
    assert found.is_revoked(PEOPLE[0].did)
    assert 1 == found.size


def test_who_is_present_where() -> None:
    """Presences are counted by road and found by instance, and a move leaves nothing behind."""
    found = roster()
    first, second = IN_ORDER[:2]
    found.apply_presence(first, presence(first), 1)
    found.apply_presence(second, presence(second, road=Road.NATS, instance="n1"), 2)
    found.apply_presence(second, presence(second, "s2", instance="e2"), 3)

    assert (2, 0) == (found.count_present(Road.EDGE), found.count_present(Road.NATS))
    assert [(first,), (second,), ()] == [
        found.present_at(Road.EDGE, "e1"),
        found.present_at(Road.EDGE, "e2"),
        found.present_at(Road.NATS, "n1"),
    ]
    assert [first, second] == list(found.online.after(""))
    assert {first, second} == {token for token, _ in found.present()}


def test_a_displaced_session_is_remembered() -> None:
    """Only a session that another one replaced counts as displaced, not one that left or renewed."""
    found = roster()
    for revision, each in enumerate((presence(TOKEN), presence(TOKEN), presence(TOKEN, "s2"), None), start=1):
        found.apply_presence(TOKEN, each, revision)
    found.apply_presence(TOKEN, presence(TOKEN, "s3"), 5)

    assert [True, False, False] == [session in found.displaced for session in ("s1", "s2", "s3")]


def test_presence_may_come_before_the_record() -> None:
    """The two buckets are followed separately: an agent is listed once both are known, in either order."""
    found = Roster()
    found.apply_presence(TOKEN, presence(TOKEN), 1)
    before = len(found.online)
    found.apply_record(TOKEN, record(TOKEN), 2)
    after = len(found.online)
    found.apply_record(TOKEN, None, 3)

    assert (0, 1, 0) == (before, after, len(found.online))


def test_who_is_asked_for_by_a_name_that_is_no_did() -> None:
    """Foreign text finds nobody."""
    found = roster()

    assert (None, False) == (found.of_did(TOKEN), found.is_revoked("did:web:example.org"))


def test_callers_are_not_kept() -> None:
    """The list of callers, which may be long, stays in the bucket."""
    found = roster(callers=("did:key:z1",))

    known = found.get(TOKEN)
    assert known is not None
    assert known.record is not None
    assert () == known.record.callers
