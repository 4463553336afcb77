"""The window of seen ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.errors import AiconexusError, ReplayedEnvelope
from aiconexus.protocol.limits import FRESHNESS_MS
from aiconexus.protocol.replay import CROWDED_IDS_MAX, WINDOW_MS, ReplayWindow

from .samples import NOW_MS


def test_id_passes_once() -> None:
    """The same id of the same sender does not pass a second time."""
    window = ReplayWindow()
    window.admit("alice", "1", NOW_MS)

    with pytest.raises(ReplayedEnvelope):
        window.admit("alice", "1", NOW_MS + 1)


def test_ids_of_two_senders_are_two() -> None:
    """Nobody can use up another's id."""
    window = ReplayWindow()
    window.admit("alice", "1", NOW_MS)

    window.admit("bob", "1", NOW_MS)


def test_id_is_remembered_as_long_as_its_envelope_is_fresh() -> None:
    """An envelope that came a minute too early is still refused two minutes later, when it is just fresh."""
    window = ReplayWindow()
    window.admit("alice", "1", NOW_MS)

    with pytest.raises(ReplayedEnvelope):
        window.admit("alice", "1", NOW_MS + 2 * FRESHNESS_MS)


def test_id_is_forgotten_behind_the_window() -> None:
    """Memory ends where freshness has ended."""
    window = ReplayWindow(ids_max=1)
    window.admit("alice", "1", NOW_MS)

    window.admit("alice", "2", NOW_MS + WINDOW_MS + 1)


def test_busy_sender_learns_when_to_come_back() -> None:
    """Who used up the window is too fast, which is no replay, and passes again at the named time."""
    window = ReplayWindow(ids_max=2)
    window.admit("alice", "1", NOW_MS)
    window.admit("alice", "2", NOW_MS)

    with pytest.raises(RateLimited) as caught:
        window.admit("alice", "3", NOW_MS + 1000)
    window.admit("alice", "3", NOW_MS + 1000 + caught.value.retry_after_ms)


def test_ids_leave_the_window_one_by_one() -> None:
    """A sender who never falls silent gets room for a new id whenever an old one leaves."""
    window = ReplayWindow(ids_max=2)
    window.admit("alice", "1", NOW_MS)
    window.admit("alice", "2", NOW_MS + 1000)

    window.admit("alice", "3", NOW_MS + WINDOW_MS + 1)
    assert not _passes(window, "alice", "2", NOW_MS + WINDOW_MS + 1)


def test_flood_of_one_sender_evicts_nobody() -> None:
    """The ids of others stay, however many one sender brings."""
    window = ReplayWindow(ids_max=10)
    window.admit("bob", "1", NOW_MS)
    _flood(window, "mallory", 100, NOW_MS)

    with pytest.raises(ReplayedEnvelope):
        window.admit("bob", "1", NOW_MS)


def test_quietest_sender_is_forgotten_first() -> None:
    """The number of senders is bounded, and who spoke last stays."""
    window = ReplayWindow(senders_max=2)
    window.admit("alice", "1", NOW_MS)
    window.admit("bob", "1", NOW_MS)
    window.admit("alice", "2", NOW_MS)
    window.admit("carol", "1", NOW_MS)

    with pytest.raises(ReplayedEnvelope):
        window.admit("alice", "1", NOW_MS)
    window.admit("bob", "1", NOW_MS)


def test_crowd_makes_the_share_of_each_smaller() -> None:
    """When many ids are held, nobody may hold many, so memory stays bounded."""
    window = ReplayWindow(ids_max=2 * CROWDED_IDS_MAX, total_max=4 * CROWDED_IDS_MAX)

    assert 2 * CROWDED_IDS_MAX == _flood(window, "alice", 1000, NOW_MS)
    assert CROWDED_IDS_MAX == _flood(window, "bob", 1000, NOW_MS)


def test_crowd_that_went_away_leaves_no_trace() -> None:
    """Senders who fell silent neither keep memory nor narrow the window of those who speak."""
    window = ReplayWindow(ids_max=2 * CROWDED_IDS_MAX, total_max=4 * CROWDED_IDS_MAX)
    _flood(window, "mallory", 1000, NOW_MS)

    assert 2 * CROWDED_IDS_MAX == _flood(window, "bob", 1000, NOW_MS + WINDOW_MS + 1)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("123"), st.integers(0, WINDOW_MS // 2)), max_size=40))
def test_no_id_passes_twice_within_the_window(steps: list[tuple[str, str, int]]) -> None:
    """However senders, ids and pauses are mixed, an id that passes was not admitted within the window."""
    window = ReplayWindow()
    admitted: dict[tuple[str, str], int] = {}
    now_ms = NOW_MS
    for sender, id_, pause_ms in steps:
        now_ms += pause_ms
        known = admitted.get((sender, id_))
        passed = _passes(window, sender, id_, now_ms)

        assert passed == (known is None or now_ms - known > WINDOW_MS)
        if passed:
            admitted[sender, id_] = now_ms


def _passes(window: ReplayWindow, sender: str, id_: str, now_ms: int) -> bool:
    try:
        window.admit(sender, id_, now_ms)
    except AiconexusError:
        return False
    return True


def _flood(window: ReplayWindow, sender: str, count: int, now_ms: int) -> int:
    return sum(_passes(window, sender, f"flood-{n}", now_ms) for n in range(count))
