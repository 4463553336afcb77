"""When something is tried again, and when it is given up."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.errors import InvalidPolicy
from aiconexus.protocol.policy import (
    RETRIES_MAX,
    SECONDS_MAX,
    GivenUp,
    RetryPolicy,
    RetryState,
    Strategy,
    base_delay,
    deadline_ms,
    delay_before,
)

from .samples import NOW_MS

ALMOST_ONE = math.nextafter(1.0, 0.0)
PLAIN = RetryPolicy(jitter=0.0)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """Any policy that may be constructed."""
    longest = draw(st.floats(0, SECONDS_MAX))
    return RetryPolicy(
        strategy=draw(st.sampled_from(Strategy)),
        max_retries=draw(st.integers(0, RETRIES_MAX)),
        initial_delay_seconds=draw(st.floats(0, longest)),
        max_delay_seconds=longest,
        multiplier=draw(st.floats(1, 1000)),
        jitter=draw(st.floats(0, 1)),
        deadline_seconds=draw(st.none() | st.floats(0.001, SECONDS_MAX)),
    )


chances = st.floats(0, 1, exclude_max=True)


@given(policies(), st.integers(1, RETRIES_MAX + 2), chances)
def test_delay_stays_between_nothing_and_the_cap(policy: RetryPolicy, failures: int, random01: float) -> None:
    """No delay is negative or longer than the longest, and none follows the last retry."""
    delay = delay_before(policy, failures, random01)

    assert (delay is None) == (failures > policy.max_retries)
    assert delay is None or 0 <= delay <= policy.max_delay_seconds


@given(policies(), st.integers(1, RETRIES_MAX), chances)
def test_jitter_stays_within_its_share(policy: RetryPolicy, failures: int, random01: float) -> None:
    """A delay differs from the one without jitter by no more than the jitter's share of it."""
    base = base_delay(policy, failures)
    delay = delay_before(msgspec.structs.replace(policy, max_retries=RETRIES_MAX), failures, random01)

    assert delay is not None
    assert abs(delay - base) <= base * policy.jitter * (1 + 1e-9) + base * 1e-15 + 1e-12


@given(policies(), st.integers(1, RETRIES_MAX))
def test_delays_never_shrink(policy: RetryPolicy, failures: int) -> None:
    """Without jitter each delay is at least as long as the one before it."""
    assert base_delay(policy, failures) <= base_delay(policy, failures + 1)


@pytest.mark.parametrize(
    ("strategy", "delays"),
    [
        (Strategy.EXPONENTIAL, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]),
        (Strategy.LINEAR, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        (Strategy.FIXED, [1.0] * 8),
    ],
)
def test_strategies_follow_their_formulae(strategy: Strategy, delays: list[float]) -> None:
    """The delays are those of the formulae, from the first failure on."""
    policy = msgspec.structs.replace(PLAIN, strategy=strategy)

    assert delays == [delay_before(policy, failures, 0.5) for failures in range(1, 9)]


@pytest.mark.parametrize(("random01", "delay"), [(0.0, 0.9), (0.5, 1.0), (ALMOST_ONE, 1.1)])
def test_jitter_spreads_to_both_sides(random01: float, delay: float) -> None:
    """The default jitter makes a delay up to a tenth shorter or longer."""
    assert delay_before(RetryPolicy(), 1, random01) == pytest.approx(delay)


@pytest.mark.parametrize(("random01", "delay"), [(0.0, 30.0), (0.5, 45.0), (ALMOST_ONE, 60.0)])
def test_jitter_of_a_capped_delay_lies_below_the_cap(random01: float, delay: float) -> None:
    """Where the cap leaves no room above, the jitter spreads over what is below."""
    assert delay_before(RetryPolicy(jitter=0.5), 10, random01) == pytest.approx(delay)


def test_delay_before_any_failure_is_a_mistake() -> None:
    """There is nothing to wait for before something failed."""
    with pytest.raises(ValueError, match="nothing has failed yet: 0"):
        delay_before(PLAIN, 0, 0.5)


@given(policies(), st.lists(chances, min_size=1, max_size=40))
def test_totals_are_exact(policy: RetryPolicy, chances_: list[float]) -> None:
    """The total is the sum of the delays, and the next attempt lies one delay ahead, until it is given up."""
    state, now_ms, total = RetryState(started_ms=NOW_MS), NOW_MS, 0.0
    for failures, random01 in enumerate(chances_, start=1):
        before, state = state, state.after_failure(policy, now_ms, random01)
        assert failures == state.failures
        if state.exhausted:
            assert total == state.total_delay_seconds
            assert state.next_ms is None
            return
        delay = delay_before(policy, failures, random01)
        assert delay is not None
        total += delay
        assert now_ms + math.ceil(delay * 1000) == state.next_ms
        assert total == state.total_delay_seconds
        assert before.failures == failures - 1
        now_ms = state.next_ms


@given(policies(), policies(), chances)
def test_operations_are_independent(one: RetryPolicy, other: RetryPolicy, random01: float) -> None:
    """What happens to one operation changes nothing for another that began at the same time."""
    alone = RetryState(started_ms=NOW_MS).after_failure(one, NOW_MS, random01)
    beside = RetryState(started_ms=NOW_MS)
    _ = beside.after_failure(other, NOW_MS, 0.5)

    assert alone == beside.after_failure(one, NOW_MS, random01)


def test_last_retry_is_followed_by_nothing() -> None:
    """After the first attempt and all retries have failed, the operation is exhausted."""
    state = RetryState(started_ms=NOW_MS)
    policy = msgspec.structs.replace(PLAIN, max_retries=2)
    for _ in range(2):
        state = state.after_failure(policy, NOW_MS, 0.5)
        assert not state.exhausted

    assert state.after_failure(policy, NOW_MS, 0.5).given_up is GivenUp.EXHAUSTED


def test_no_attempt_begins_at_the_deadline() -> None:
    """A delay that ends at the deadline or behind it ends the operation instead."""
    policy = msgspec.structs.replace(PLAIN, deadline_seconds=2.0)
    state = RetryState(started_ms=NOW_MS)

    assert NOW_MS + 1_999 == state.after_failure(policy, NOW_MS + 999, 0.5).next_ms
    assert state.after_failure(policy, NOW_MS + 1_000, 0.5).given_up is GivenUp.DEADLINE


def test_operation_without_a_deadline_has_none() -> None:
    """Without a deadline only the number of retries ends an operation."""
    assert math.inf == deadline_ms(PLAIN, NOW_MS)


def test_other_side_may_ask_for_a_longer_delay() -> None:
    """A delay that the other side asked for is kept even where it exceeds the longest."""
    state = RetryState(started_ms=NOW_MS).after_failure(PLAIN, NOW_MS, 0.5, at_least_seconds=90.0)

    assert (NOW_MS + 90_000, 90.0) == (state.next_ms, state.total_delay_seconds)


@pytest.mark.parametrize(
    ("listed", "problem", "retryable", "worth"),
    [
        (None, "mailbox_full", True, True),
        (None, "unknown_agent", False, False),
        (("unknown_agent",), "unknown_agent", False, True),
        (("unknown_agent",), "mailbox_full", True, False),
    ],
)
def test_list_of_problems_overrules_what_they_say(
    listed: tuple[str, ...] | None, problem: str, retryable: bool, worth: bool
) -> None:
    """Without a list a problem says itself whether it is worth another attempt; with one, the list says it."""
    policy = RetryPolicy(retryable=listed)

    assert worth == policy.is_worth(problem, retryable=retryable)


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"strategy": "random"}, "strategy is none of exponential, linear, fixed"),
        ({"max_retries": -1}, "max_retries is not between 0 and 1000"),
        ({"max_retries": 1001}, "max_retries is not between 0 and 1000"),
        ({"max_retries": 1.5}, "max_retries is no whole number"),
        ({"max_retries": True}, "max_retries is no finite number"),
        ({"initial_delay_seconds": -0.1}, "initial_delay_seconds is not between 0 and 604800"),
        ({"initial_delay_seconds": math.nan}, "initial_delay_seconds is no finite number"),
        ({"max_delay_seconds": math.inf}, "max_delay_seconds is no finite number"),
        ({"max_delay_seconds": 0.5}, "max_delay_seconds is below initial_delay_seconds"),
        ({"multiplier": 0.5}, "multiplier is not between 1 and 1000"),
        ({"multiplier": "2"}, "multiplier is no finite number"),
        ({"jitter": 1.1}, "jitter is not between 0 and 1"),
        ({"deadline_seconds": 0}, "deadline_seconds is 0: leave it out for none"),
        ({"deadline_seconds": math.nan}, "deadline_seconds is no finite number"),
        ({"attempt_timeout_seconds": -1}, "attempt_timeout_seconds is not between 0 and 604800"),
        ({"retryable": "timeout"}, "retryable is no list of problem names"),
        ({"retryable": (1,)}, "retryable is no list of problem names"),
        ({"retryable": ("t" * 65,)}, "retryable is no list of problem names"),
    ],
    ids=str,
)
def test_bad_policy_is_refused(fields: dict[str, Any], mistake: str) -> None:
    """A policy that makes no sense is never constructed."""
    with pytest.raises(InvalidPolicy) as refused:
        RetryPolicy(**fields)

    assert (mistake,) == refused.value.mistakes


def test_all_mistakes_are_named_together() -> None:
    """Whoever wrote a bad policy learns everything that is wrong with it at once."""
    with pytest.raises(InvalidPolicy) as refused:
        RetryPolicy(strategy="x", max_retries=-1, initial_delay_seconds=math.nan, multiplier=0, jitter=-1)  # type: ignore[arg-type]

    assert 5 == len(refused.value.mistakes)


@pytest.mark.parametrize("members", [{"jitter": 2.0}, {"strategy": "x"}, {"max_delay_seconds": 0.1}], ids=str)
def test_bad_policy_is_no_body(members: dict[str, Any]) -> None:
    """A policy that came over the wire is held to the same."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(members, RetryPolicy)


@given(policies())
def test_policy_survives_the_wire(policy: RetryPolicy) -> None:
    """A policy reads as it was written."""
    assert policy == msgspec.msgpack.decode(msgspec.msgpack.encode(policy), type=RetryPolicy)
