"""How long an agent waits before it tries again, and what it does not try again."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.errors import (
    AiconexusError,
    BusError,
    KeyRevoked,
    LoginRefused,
    Refused,
    RemoteProblem,
    TakenOver,
)
from aiconexus.protocol.policy import RetryPolicy, RetryState, delay_before
from aiconexus.protocol.problems import problem_of

STEADY = RetryPolicy(initial_delay_seconds=0.1, max_delay_seconds=10.0, jitter=1.0)
"""The pace at which an agent tries for ever: exponential, with jitter over the whole delay."""

LINKING = RetryPolicy(initial_delay_seconds=0.1, max_delay_seconds=2.0, jitter=1.0)
"""Likewise after a loss, of the connection or on it: a road that opens is used within four seconds."""

_REGISTERS_LATER = frozenset({"stale", "expired", "replayed"})
"""Problems of a REGISTER that the next one, with another time and id, may not have."""

Value = TypeVar("Value")
OnRetry = Callable[[int, float], Any]
OnExhausted = Callable[[], Any]
OnFailure = Callable[[Exception], Any]


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


def wait_seconds(attempt: int, random01: float, policy: RetryPolicy = STEADY) -> float:
    """
    The wait of somebody who never gives up.

    Args:
        attempt: Attempts already made, starting at 1.
        random01: Random number in [0, 1).
        policy: Its formula; how often it would try does not count.

    """
    return delay_before(policy, min(attempt, policy.max_retries), random01) or 0.0


def pace_after(error: BaseException | None, policy: RetryPolicy = STEADY) -> RetryPolicy:
    """The pace after an error: where nobody answered nobody asked us to slow down, and a loss ends at any moment."""
    is_loss = isinstance(error, BusError) and not isinstance(error, LoginRefused)
    return LINKING if is_loss and policy.max_delay_seconds > LINKING.max_delay_seconds else policy


def hinted_seconds(error: BaseException | None) -> float:
    """The earliest next attempt, as the remote asked for."""
    if isinstance(error, RemoteProblem):
        return (error.error.retry_after_ms or 0) / 1000
    return error.retry_after_ms / 1000 if isinstance(error, RateLimited) else 0.0


def retrying(
    worth: Callable[[BaseException], bool],
    *,
    policy: RetryPolicy = STEADY,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[BaseException], None] = lambda _: None,
) -> AsyncRetrying:
    """
    Try again for ever.

    Args:
        worth: Which errors; others are raised.
        policy: The pace where the remote refused; it may ask for more patience.
        stop: When to raise the last error after all.
        note: Called with each error before the wait.

    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        pace = pace_after(error, policy)
        return hinted_seconds(error) + wait_seconds(state.attempt_number, random.random(), pace)  # noqa: S311 - spreads load, keeps no secret

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


class Retrying:
    """
    Try operations by a policy; each one has a state of its own.

    Callbacks may be plain or ``async``. What one of them raises ends the operation in place of its own error.

    Args:
        policy: How often, and when.
        on_retry: Told before each wait how many attempts were made, and how many seconds it waits.
        on_exhausted: Told when attempts or time are used up.
        on_failure: Told the error with which an operation ends; it is raised, too.
        worth: Which errors are worth another attempt, if not those that the policy or ``problems`` name: an error of
            this project says so itself, time-outs and those of the operating system are worth it, others are not.
        sleep: Waits for so many seconds.
        clock: Milliseconds since the epoch.

    """

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        on_retry: OnRetry | None = None,
        on_exhausted: OnExhausted | None = None,
        on_failure: OnFailure | None = None,
        worth: Callable[[BaseException], bool] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.policy = policy or RetryPolicy()
        self.sleep = sleep
        self.clock = clock
        self._on_retry = on_retry
        self._on_exhausted = on_exhausted
        self._on_failure = on_failure
        self._worth = worth or (lambda error: is_worth(self.policy, error))

    def begin(self) -> "Operation":
        """A new operation, whose state can be looked at while it runs."""
        return Operation(self)

    async def run(self, function: Callable[[], Awaitable[Value]]) -> Value:
        """
        Try until it works.

        Raises:
            Exception: What the last attempt raised.

        """
        return await self.begin().run(function)

    def may_retry(self, error: BaseException) -> bool:
        """Whether an error is worth another attempt."""
        return isinstance(error, Exception) and self._worth(error)

    async def tell_retry(self, state: RetryState, delay_seconds: float) -> None:
        """Call ``on_retry``."""
        await _called(self._on_retry, state.failures, delay_seconds)

    async def tell_end(self, state: RetryState, error: Exception) -> None:
        """Call ``on_exhausted`` if that is so, and ``on_failure``."""
        try:
            if state.exhausted:
                await _called(self._on_exhausted)
        finally:
            await _called(self._on_failure, error)


class Operation:
    """
    One operation and how far it has come.

    Args:
        retrying: Its policy and callbacks.

    """

    def __init__(self, retrying: Retrying) -> None:
        self.state = RetryState(started_ms=retrying.clock())
        self.attempts = 0
        self._retrying = retrying
        self._delay_seconds = 0.0

    async def run(self, function: Callable[[], Awaitable[Value]]) -> Value:
        """Try until it works; see ``Retrying.run``."""
        retries = AsyncRetrying(
            retry=retry_if_exception(self._is_worth),
            stop=lambda _: self.state.exhausted,
            wait=lambda _: self._delay_seconds,
            before_sleep=self._note_wait,
            sleep=self._retrying.sleep,
            reraise=True,
        )
        try:
            return await retries(self._attempt, function)
        except Exception as error:
            # Whatever it is, it is told and goes on its way.
            await self._retrying.tell_end(self.state, error)
            raise

    async def _attempt(self, function: Callable[[], Awaitable[Value]]) -> Value:
        self.attempts += 1
        async with asyncio.timeout(self._retrying.policy.attempt_timeout_seconds):
            return await function()

    def _is_worth(self, error: BaseException) -> bool:
        """Count a failure, and say whether another attempt makes sense; ``stop`` says whether there is one."""
        if not self._retrying.may_retry(error):
            # Who cancels an operation makes it no failure.
            self.state = self.state.after_hopeless_failure() if isinstance(error, Exception) else self.state
            return False
        policy, hint = self._retrying.policy, hinted_seconds(error)
        random01 = random.random()  # noqa: S311 - spreads load, keeps no secret
        self.state = self.state.after_failure(policy, self._retrying.clock(), random01, at_least_seconds=hint)
        self._delay_seconds = max(delay_before(policy, self.state.failures, random01) or 0.0, hint)
        return True

    async def _note_wait(self, _: RetryCallState) -> None:
        await self._retrying.tell_retry(self.state, self._delay_seconds)


def is_worth(policy: RetryPolicy, error: BaseException) -> bool:
    """Whether a policy lets an error be followed by another attempt."""
    if isinstance(error, RemoteProblem):
        return policy.is_worth(error.error.problem, retryable=error.retryable)
    if isinstance(error, AiconexusError):
        problem = problem_of(error)
        return policy.is_worth(problem.name, retryable=problem.retryable)
    if isinstance(error, TimeoutError):
        return policy.is_worth("timeout", retryable=True)
    return isinstance(error, OSError) and policy.is_worth("unavailable", retryable=True)


async def _called(callback: Callable[..., Any] | None, *facts: Any) -> None:
    if callback is not None:
        result = callback(*facts)
        if inspect.isawaitable(result):
            await result
