"""What is tried again, and when."""

import pytest

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.errors import (
    BusUnavailable,
    KeyRevoked,
    MalformedEnvelope,
    RateLimited,
    Refused,
    RemoteProblem,
    RequestTimedOut,
    TakenOver,
)
from aiconexus.sdk.retrying import hinted_seconds, is_retryable, may_connect_later, retrying, wait_seconds


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
    assert [0.2, 0.4, 0.8, 1.0, 1.0] == [wait_seconds(attempt, 1.0, longest=1.0) for attempt in (1, 2, 3, 4, 10_000)]
    assert wait_seconds(5, 0.0) == 0


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
    async for attempt in retrying(is_retryable, longest=0.001, note=noted.append):
        with attempt:
            if failures:
                raise failures.pop()

    assert [RateLimited, RateLimited] == [type(error) for error in noted]


async def test_last_error_is_raised_when_time_is_over() -> None:
    """Whoever stops gets the reason and not a wrapper."""

    async def work() -> None:
        raise RateLimited(0)

    with pytest.raises(RateLimited):
        await retrying(is_retryable, longest=0.001, stop=lambda: True)(work)


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
