from hypothesis import given
from hypothesis import strategies as st

from aiconexus.signaling.breaker import Breaker, Pace, State, failed, succeeded, tried
from aiconexus.signaling.settings import SignalingSettings

PACE = Pace(every=20.0, again=1.0, failures_max=3, rest=5.0, rest_max=60.0)


def after(*outcomes: bool) -> tuple[Breaker, float]:
    """A breaker after trials, each made when it was due and over at once; and when that was."""
    breaker, now = Breaker(), 0.0
    for outcome in outcomes:
        now = max(now, breaker.due_at)
        breaker = (succeeded if outcome else failed)(tried(breaker, now), now, PACE)
    return breaker, now


def test_a_server_that_is_well_is_tried_now_and_then() -> None:
    """The next trial of a server that works is due after the usual time."""
    assert (Breaker(due_at=40.0), 20.0) == after(True, True)


def test_one_failure_is_no_outage() -> None:
    """Before the last of the failures that it takes, a server is only tried again soon."""
    assert (Breaker(State.CLOSED, failures=2, due_at=2.0), 1.0) == after(False, False)


def test_a_success_between_failures_counts() -> None:
    """Failures must come in a row."""
    assert State.CLOSED is after(False, False, True, False, False)[0].state


def test_failures_in_a_row_open_it() -> None:
    """After three failures the server is left alone for a while."""
    assert (Breaker(State.OPEN, failures=3, openings=1, due_at=7.0), 2.0) == after(False, False, False)


def test_it_is_half_open_when_its_rest_is_over() -> None:
    """Not a moment earlier, and the others stay what they are."""
    breaker, _ = after(False, False, False)

    assert [State.OPEN, State.HALF_OPEN] == [tried(breaker, now).state for now in (6.9, 7.0)]
    assert Breaker() == tried(Breaker(), 100.0)


def test_one_trial_closes_it() -> None:
    """A server that came back is believed at once, and nothing is held against it."""
    assert (Breaker(due_at=27.0), 7.0) == after(False, False, False, True)


def test_trials_in_vain_come_ever_later() -> None:
    """Each doubles the rest, up to the longest."""
    rests = []
    for count in range(3, 10):
        breaker, now = after(*[False] * count)
        rests.append(breaker.due_at - now)

    assert [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0] == rests


@given(st.lists(st.booleans(), max_size=200))
def test_it_always_comes_to_the_next_trial(outcomes: list[bool]) -> None:
    """Whatever happened, the next trial is due within the longest time, and a success closes."""
    breaker, now = after(*outcomes)

    assert breaker.due_at - now <= 60.0
    assert Breaker(due_at=now + 20.0) == succeeded(tried(breaker, breaker.due_at), now, PACE)


def test_a_dead_server_is_named_for_thirty_seconds_at_most() -> None:
    """With the settings as they come: it dies right after a probe, and each further one takes as long as it may."""
    settings = SignalingSettings(seed=bytes(32), directory_file="")
    failures = settings.probe_failures_max
    seconds = (
        settings.probe_seconds
        + failures * settings.probe_deadline_seconds
        + (failures - 1) * settings.probe_again_seconds
    )

    assert seconds < 30
