"""What is tried again, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.errors import (
    BusUnavailable,
    KeyRevoked,
    LoginRefused,
    MalformedEnvelope,
    Refused,
    RemoteProblem,
    RequestTimedOut,
    TakenOver,
)
from aiconexus.protocol.policy import RetryPolicy, Strategy, base_delay
from aiconexus.sdk.retrying import (
    Operation,
    Retrying,
    hinted_seconds,
    is_retryable,
    is_worth,
    may_connect_later,
    pace_after,
    retrying,
    wait_seconds,
)

AT_ONCE = RetryPolicy(initial_delay_seconds=0.0, max_delay_seconds=0.001)


def remote(problem: str, *, retryable: bool = False, retry_after_ms: int | None = None) -> RemoteProblem:
    """What a service reported."""
    error = Error(code="X", message="", problem=problem, retryable=retryable, retry_after_ms=retry_after_ms)
    return RemoteProblem("did:key:zRelay", error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BusUnavailable((), ""), True),
        (RequestTimedOut("", 1), True),
        (RateLimited(1), True),
        (remote("mailbox_full", retryable=True), True),
        (remote("unknown_agent"), False),
        (MalformedEnvelope(""), False),
        (ValueError(), False),
    ],
    ids=repr,
)
def test_envelope_is_sent_again(error: Exception, expected: bool) -> None:
    """What the remote or the table calls retryable is tried again, and nothing else."""
    assert expected == is_retryable(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BusUnavailable((), ""), True),
        (MalformedEnvelope("not a platform"), True),
        (remote("unavailable", retryable=True), True),
        (remote("stale"), True),
        (remote("key_revoked"), False),
        (remote("refused"), False),
        (Refused(""), False),
        (TakenOver(""), False),
        (KeyRevoked(""), False),
        (ValueError(), False),
    ],
    ids=repr,
)
def test_connection_is_tried_again(error: Exception, expected: bool) -> None:
    """Only a refusal for good ends an agent."""
    assert expected == may_connect_later(error)


def test_waits_grow_up_to_the_longest() -> None:
    """Backoff is exponential with full jitter, and bounded."""
    policy = RetryPolicy(initial_delay_seconds=0.1, max_delay_seconds=1.0, jitter=1.0)

    assert [0.2, 0.4, 0.8, 1.0, 1.0] == [wait_seconds(attempt, 1.0, policy) for attempt in (1, 2, 3, 4, 10_000)]
    assert wait_seconds(5, 0.0) == 0


@pytest.mark.parametrize(
    ("error", "longest"),
    [
        (BusUnavailable(("nats://here",), "lost"), 2.0),
        (RequestTimedOut("subject", 4.0), 2.0),
        (LoginRefused(("nats://here",), "no"), 10.0),
        (remote("mailbox_full", retryable=True), 10.0),
    ],
)
def test_losses_are_followed_by_short_waits(error: Exception, longest: float) -> None:
    """However often the connection was lost, what it took along is tried again soon; who was refused gives time."""
    assert longest == wait_seconds(20, 1.0, pace_after(error))


def test_remote_may_ask_for_patience() -> None:
    """A hint of the remote comes on top."""
    assert hinted_seconds(remote("mailbox_full", retryable=True, retry_after_ms=1500)) == 1.5
    assert hinted_seconds(RateLimited(250)) == 0.25
    assert hinted_seconds(BusUnavailable((), "")) == 0
    assert hinted_seconds(None) == 0


async def test_errors_are_noted_and_survived() -> None:
    """Each failure is told before the wait, and the work goes on."""
    noted: list[BaseException] = []
    failures = [RateLimited(0), RateLimited(0)]
    async for attempt in retrying(is_retryable, policy=AT_ONCE, note=noted.append):
        with attempt:
            if failures:
                raise failures.pop()

    assert [RateLimited, RateLimited] == [type(error) for error in noted]


async def test_last_error_is_raised_when_time_is_over() -> None:
    """Whoever stops gets the reason and not a wrapper."""

    async def work() -> None:
        raise RateLimited(0)

    with pytest.raises(RateLimited):
        await retrying(is_retryable, policy=AT_ONCE, stop=lambda: True)(work)


async def test_hopeless_error_is_raised_at_once() -> None:
    """What makes no sense to repeat is not repeated."""
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        raise Refused("no")

    with pytest.raises(Refused):
        await retrying(is_retryable)(work)
    assert tries == 1


class Nap:
    """A clock that moves only while somebody sleeps."""

    def __init__(self) -> None:
        self.ms = 1_000_000
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and the others run."""
        self.slept.append(seconds)
        self.ms += round(seconds * 1000)
        await asyncio.sleep(0)

    def clock(self) -> int:
        """The time."""
        return self.ms


class Told:
    """What the callbacks were told."""

    def __init__(self) -> None:
        self.retries: list[tuple[int, float]] = []
        self.ends: list[str] = []

    def callbacks(self, *, is_async: bool) -> dict[str, Any]:
        """Callbacks that write it down."""

        def sync(function: Callable[..., None]) -> Callable[..., Any]:
            async def later(*facts: Any) -> None:
                await asyncio.sleep(0)
                function(*facts)

            return later if is_async else function

        return {
            "on_retry": sync(lambda attempt, delay: self.retries.append((attempt, delay))),
            "on_exhausted": sync(lambda: self.ends.append("exhausted")),
            "on_failure": sync(lambda error: self.ends.append(type(error).__name__)),
        }


def failing(times: int, error: Exception | None = None) -> Callable[[], Awaitable[int]]:
    """An operation that works after so many failures; it returns its attempts."""
    attempts = 0

    async def work() -> int:
        nonlocal attempts
        attempts += 1
        if attempts <= times:
            raise error or BusUnavailable((), "")
        return attempts

    return work


policies = st.builds(
    RetryPolicy,
    strategy=st.sampled_from(Strategy),
    max_retries=st.integers(0, 12),
    initial_delay_seconds=st.floats(0, 30),
    max_delay_seconds=st.floats(30, 120),
    multiplier=st.floats(1, 5),
    jitter=st.floats(0, 1),
)


async def run(policy: RetryPolicy, failures: int, told: Told, *, is_async: bool = False) -> tuple[Operation, Nap]:
    """Run an operation that fails so often, to its end."""
    nap = Nap()
    retrying = Retrying(policy, sleep=nap.sleep, clock=nap.clock, **told.callbacks(is_async=is_async))
    operation = retrying.begin()
    try:
        await operation.run(failing(failures))
    except BusUnavailable:
        told.ends.append("raised")
    return operation, nap


@given(policy=policies, failures=st.integers(0, 15))
def test_operation_follows_its_policy(policy: RetryPolicy, failures: int) -> None:
    """Attempts and delays are those of the policy, within its cap and its jitter, and the totals are exact."""
    told = Told()
    operation, nap = asyncio.run(run(policy, failures, told))
    state, retries = operation.state, min(failures, policy.max_retries)
    bases = [base_delay(policy, failure) for failure in range(1, retries + 1)]

    assert operation.attempts == retries + 1
    assert [(number, delay) for number, delay in enumerate(nap.slept, 1)] == told.retries
    assert state.total_delay_seconds == sum(nap.slept)
    assert all(0 <= delay <= policy.max_delay_seconds for delay in nap.slept)
    assert all(
        abs(delay - base) <= base * policy.jitter * 1.000001 for delay, base in zip(nap.slept, bases, strict=True)
    )
    assert state.exhausted == (failures > policy.max_retries)
    assert (["exhausted", "BusUnavailable", "raised"] if state.exhausted else []) == told.ends


@given(pairs=st.lists(st.tuples(policies, st.integers(0, 8)), min_size=2, max_size=5))
def test_operations_do_not_share_their_state(pairs: list[tuple[RetryPolicy, int]]) -> None:
    """What runs side by side ends as it would alone."""

    async def together() -> list[Operation]:
        ran = await asyncio.gather(*(run(policy, failures, Told(), is_async=True) for policy, failures in pairs))
        return [operation for operation, _ in ran]

    operations = asyncio.run(together())

    assert [min(failures, policy.max_retries) + 1 for policy, failures in pairs] == [
        operation.attempts for operation in operations
    ]


async def test_one_manager_serves_many_operations() -> None:
    """The state belongs to the operation, never to who runs it."""
    retrying = Retrying(AT_ONCE)

    assert await asyncio.gather(*(retrying.run(failing(times)) for times in range(5))) == [1, 2, 3, 4, 5]


async def test_callbacks_may_be_coroutines() -> None:
    """What they do is waited for."""
    told = Told()
    await run(RetryPolicy(max_retries=2), 5, told, is_async=True)

    assert [1, 2] == [attempt for attempt, _ in told.retries]
    assert ["exhausted", "BusUnavailable", "raised"] == told.ends


async def test_hopeless_operation_fails_at_once() -> None:
    """It failed, but nothing was exhausted."""
    told = Told()
    retrying = Retrying(**told.callbacks(is_async=False))

    with pytest.raises(ValueError, match="bad"):
        await retrying.run(failing(5, ValueError("bad")))
    assert (["ValueError"], []) == (told.ends, told.retries)


async def test_hopeless_failure_is_counted() -> None:
    """An attempt that failed for good is a failed attempt; one that was cancelled is none."""
    hopeless, cancelled = Retrying().begin(), Retrying().begin()
    with pytest.raises(ValueError, match="bad"):
        await hopeless.run(failing(5, ValueError("bad")))
    with pytest.raises(asyncio.CancelledError):
        await cancelled.run(cancelling)

    assert (1, 1, None, False) == (
        hopeless.attempts,
        hopeless.state.failures,
        hopeless.state.next_ms,
        hopeless.state.exhausted,
    )
    assert 0 == cancelled.state.failures


async def cancelling() -> None:
    """An operation that is cancelled."""
    raise asyncio.CancelledError


async def test_callback_that_raises_keeps_nothing_from_the_others() -> None:
    """What a callback raises ends the operation, and ``on_failure`` is told in any case, once."""
    told: list[Exception] = []

    def fail(*_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Retrying(AT_ONCE, on_retry=fail, on_failure=told.append).run(failing(3))
    with pytest.raises(LookupError):
        await Retrying(RetryPolicy(max_retries=0), on_exhausted=fail, on_failure=told.append).run(failing(3))

    assert [LookupError, BusUnavailable] == [type(error) for error in told]


async def test_deadline_ends_an_operation() -> None:
    """No attempt begins after it."""
    told = Told()
    policy = RetryPolicy(strategy=Strategy.FIXED, initial_delay_seconds=2.0, jitter=0.0, deadline_seconds=5.0)
    operation, nap = await run(policy, 100, told)

    assert (operation.attempts, nap.slept) == (3, [2.0, 2.0])
    assert ["exhausted", "BusUnavailable", "raised"] == told.ends


async def test_attempt_that_hangs_is_cut_off() -> None:
    """It counts as a time-out, and the next one may succeed."""
    attempts = 0

    async def work() -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await asyncio.Event().wait()
        return attempts

    policy = RetryPolicy(initial_delay_seconds=0.0, attempt_timeout_seconds=0.01)

    assert await Retrying(policy).run(work) == 2


async def test_remote_is_given_the_time_that_it_asks_for() -> None:
    """Its hint may exceed the longest delay of the policy."""
    nap = Nap()
    policy = RetryPolicy(initial_delay_seconds=0.5, max_delay_seconds=1.0)
    operation = Retrying(policy, sleep=nap.sleep, clock=nap.clock).begin()
    await operation.run(failing(1, RateLimited(5_000)))

    assert (nap.slept, operation.state.total_delay_seconds) == ([5.0], 5.0)


@pytest.mark.parametrize(
    ("error", "names", "expected"),
    [
        (TimeoutError(), None, True),
        (ConnectionResetError(), None, True),
        (ConnectionResetError(), ("timeout",), False),
        (remote("handler_failed"), None, False),
        (remote("handler_failed"), ("handler_failed",), True),
        (RateLimited(1), ("timeout",), False),
        (Refused(""), None, False),
        (KeyError(), None, False),
    ],
    ids=repr,
)
def test_policy_says_what_is_worth_it(error: Exception, names: tuple[str, ...] | None, expected: bool) -> None:
    """Problems that the policy names count alone; without them what the errors say of themselves."""
    assert expected == is_worth(RetryPolicy(retryable=names), error)
