"""How long an agent waits before it tries again, and what it does not try again."""

import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from aiconexus.protocol.errors import AiconexusError, KeyRevoked, RateLimited, Refused, RemoteProblem, TakenOver
from aiconexus.protocol.problems import problem_of

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 10.0

_REGISTERS_LATER = frozenset({"stale", "expired", "replayed"})
"""Problems of a REGISTER that the next one, with another time and id, may not have."""


def is_retryable(error: BaseException) -> bool:
    """Whether the same envelope may be accepted later."""
    if isinstance(error, RemoteProblem):
        return error.retryable
    return isinstance(error, AiconexusError) and problem_of(error).retryable


def may_connect_later(error: BaseException) -> bool:
    """Whether another attempt to connect and register makes sense."""
    if isinstance(error, RemoteProblem):
        return error.retryable or error.error.problem in _REGISTERS_LATER
    return isinstance(error, AiconexusError) and not isinstance(error, KeyRevoked | Refused | TakenOver)


def wait_seconds(attempt: int, jitter: float, longest: float = LONGEST_WAIT_SECONDS) -> float:
    """
    Exponential backoff with full jitter.

    Args:
        attempt: Attempts already made, starting at 1.
        jitter: Random number in [0, 1).
        longest: Seconds that no wait exceeds.

    """
    return jitter * float(min(longest, FIRST_WAIT_SECONDS * 2 ** min(attempt, 32)))


def hinted_seconds(error: BaseException | None) -> float:
    """The earliest next attempt, as the remote asked for."""
    if isinstance(error, RemoteProblem):
        return (error.error.retry_after_ms or 0) / 1000
    return error.retry_after_ms / 1000 if isinstance(error, RateLimited) else 0.0


def retrying(
    worth: Callable[[BaseException], bool],
    *,
    longest: float = LONGEST_WAIT_SECONDS,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[BaseException], None] = lambda _: None,
) -> AsyncRetrying:
    """
    Try again for ever.

    Args:
        worth: Which errors; others are raised.
        longest: Seconds between two attempts, unless the remote asks for more.
        stop: When to raise the last error after all.
        note: Called with each error before the wait.

    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return hinted_seconds(error) + wait_seconds(state.attempt_number, random.random(), longest)  # noqa: S311 - spreads load, keeps no secret

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if error is not None:
            note(error)

    return AsyncRetrying(
        retry=retry_if_exception(worth),
        wait=wait,
        stop=lambda _: stop(),
        before_sleep=before_sleep,
        reraise=True,
    )
