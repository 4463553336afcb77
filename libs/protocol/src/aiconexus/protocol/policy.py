"""
How often something is tried again, and when: pure functions of failures, time and a random number.

The same vocabulary for the retry service, which tries envelopes again across processes, and for agents, which try
connections and requests again within one. What is true of one operation stands in its ``RetryState``, nowhere else.
"""

import math
from enum import StrEnum
from typing import Any, Self

import msgspec

from aiconexus.protocol.errors import InvalidPolicy
from aiconexus.protocol.limits import LIFETIME_MAX_MS

RETRIES_MAX = 1_000
SECONDS_MAX = LIFETIME_MAX_MS / 1000
MULTIPLIER_MAX = 1_000.0
PROBLEMS_MAX = 64
PROBLEM_CHARACTERS = 64


class Strategy(StrEnum):
    """How the delay grows; ``n`` counts the failures before the first one waited for, from 0."""

    EXPONENTIAL = "exponential"
    """``initial * multiplier ** n``."""
    LINEAR = "linear"
    """``initial * (n + 1)``."""
    FIXED = "fixed"
    """``initial``."""


class GivenUp(StrEnum):
    """Why there is no further attempt; on the wire the name of the problem."""

    EXHAUSTED = "exhausted"
    DEADLINE = "deadline"


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    When to try again, and when to give up.

    Args:
        strategy: How the delay grows.
        max_retries: Further attempts after the first one.
        initial_delay_seconds: Before the first of them.
        max_delay_seconds: No delay is longer, jitter included.
        multiplier: Of the exponential strategy.
        jitter: Share of the delay by which it may be shorter or longer.
        deadline_seconds: After the beginning of the first attempt none is begun any more.
        attempt_timeout_seconds: An attempt without an outcome has failed then.
        retryable: The problems that are worth another attempt; without it every problem that says so of itself.

    Raises:
        InvalidPolicy: With every mistake.

    """

    strategy: Strategy = Strategy.EXPONENTIAL
    max_retries: int = 10
    initial_delay_seconds: float = 1.0
    max_delay_seconds: float = 60.0
    multiplier: float = 2.0
    jitter: float = 0.1
    deadline_seconds: float | None = None
    attempt_timeout_seconds: float | None = None
    retryable: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        mistakes = [
            *_unknown_strategy(self.strategy),
            *_out_of_range("max_retries", self.max_retries, 0, RETRIES_MAX, whole=True),
            *_out_of_range("initial_delay_seconds", self.initial_delay_seconds, 0, SECONDS_MAX),
            *_out_of_range("max_delay_seconds", self.max_delay_seconds, 0, SECONDS_MAX),
            *_out_of_range("multiplier", self.multiplier, 1, MULTIPLIER_MAX),
            *_out_of_range("jitter", self.jitter, 0, 1),
            *_no_span("deadline_seconds", self.deadline_seconds),
            *_no_span("attempt_timeout_seconds", self.attempt_timeout_seconds),
            *_no_problems(self.retryable),
        ]
        if _is_number(self.initial_delay_seconds) and _is_number(self.max_delay_seconds):
            mistakes += _cap_below(self.initial_delay_seconds, self.max_delay_seconds)
        if mistakes:
            raise InvalidPolicy(mistakes)

    def is_worth(self, problem: str, *, retryable: bool) -> bool:
        """
        Whether a failure may be followed by another attempt.

        Args:
            problem: Its name in ``problems``.
            retryable: What the problem says of itself; it counts only if the policy lists none.

        """
        return retryable if self.retryable is None else problem in self.retryable


class RetryState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    How far one operation has come.

    Args:
        started_ms: When its first attempt began.
        failures: Attempts that failed.
        total_delay_seconds: The delays so far, the next one included.
        next_ms: When the next attempt is due; None if none is.
        given_up: Why none is.

    """

    started_ms: int
    failures: int = 0
    total_delay_seconds: float = 0.0
    next_ms: int | None = None
    given_up: GivenUp | None = None

    @property
    def exhausted(self) -> bool:
        """Whether there is no further attempt."""
        return self.given_up is not None

    def after_failure(
        self, policy: RetryPolicy, now_ms: int, random01: float, *, at_least_seconds: float = 0.0
    ) -> Self:
        """
        What becomes of the operation after one more failure.

        Args:
            policy: Its policy.
            now_ms: The time of the failure, in milliseconds.
            random01: Random number in [0, 1).
            at_least_seconds: A shortest delay that the other side asked for; it may exceed the policy's longest.

        """
        failures = self.failures + 1
        delay = delay_before(policy, failures, random01)
        if delay is None:
            return self._ended(failures, GivenUp.EXHAUSTED)
        delay = max(delay, at_least_seconds)
        next_ms = now_ms + math.ceil(delay * 1000)
        if next_ms >= deadline_ms(policy, self.started_ms):
            return self._ended(failures, GivenUp.DEADLINE)
        total = self.total_delay_seconds + delay
        return msgspec.structs.replace(self, failures=failures, total_delay_seconds=total, next_ms=next_ms)

    def after_hopeless_failure(self) -> Self:
        """What becomes of the operation after a failure that is not worth another attempt."""
        return msgspec.structs.replace(self, failures=self.failures + 1, next_ms=None)

    def _ended(self, failures: int, why: GivenUp) -> Self:
        return msgspec.structs.replace(self, failures=failures, next_ms=None, given_up=why)


def delay_before(policy: RetryPolicy, failures: int, random01: float) -> float | None:
    """
    How long to wait after so many failures.

    The jitter is spread evenly over what the cap leaves of it, so that capped delays do not bunch.

    Args:
        policy: Its formula.
        failures: Attempts that have failed, at least 1.
        random01: Random number in [0, 1).

    Returns:
        Seconds, at least 0 and at most the policy's longest delay; None if there is no further attempt.

    Raises:
        ValueError: If nothing has failed yet.

    """
    if failures < 1:
        message = f"nothing has failed yet: {failures}"
        raise ValueError(message)
    if failures > policy.max_retries:
        return None
    base = base_delay(policy, failures)
    shortest = base * (1 - policy.jitter)
    longest = min(base * (1 + policy.jitter), policy.max_delay_seconds)
    # The sum of the rounded parts could be a hair beyond the cap.
    return min(shortest + random01 * (longest - shortest), longest)


def base_delay(policy: RetryPolicy, failures: int) -> float:
    """The delay without jitter, capped."""
    before = failures - 1
    match policy.strategy:
        case Strategy.EXPONENTIAL:
            # Both factors are bounded, but their power is not a float any more after some hundred failures.
            growth = policy.multiplier ** min(before, _steps_to(policy))
        case Strategy.LINEAR:
            growth = before + 1.0
        case _:
            growth = 1.0
    return min(policy.initial_delay_seconds * growth, policy.max_delay_seconds)


def deadline_ms(policy: RetryPolicy, started_ms: int) -> float:
    """When no attempt is begun any more: milliseconds since the epoch, or infinity."""
    if policy.deadline_seconds is None:
        return math.inf
    return started_ms + math.floor(policy.deadline_seconds * 1000)


def _steps_to(policy: RetryPolicy) -> int:
    """After how many steps the cap is surely reached, or the power would overflow."""
    if policy.multiplier <= 1:
        return 0
    return math.ceil(700 / math.log(policy.multiplier))


def _unknown_strategy(value: Any) -> list[str]:
    known = [strategy.value for strategy in Strategy]
    return [] if value in known else [f"strategy is none of {', '.join(known)}"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _out_of_range(name: str, value: Any, lowest: float, highest: float, *, whole: bool = False) -> list[str]:
    if not _is_number(value):
        return [f"{name} is no finite number"]
    if whole and not isinstance(value, int):
        return [f"{name} is no whole number"]
    return [] if lowest <= value <= highest else [f"{name} is not between {lowest:g} and {highest:g}"]


def _no_span(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    return _out_of_range(name, value, 0, SECONDS_MAX) or ([] if value else [f"{name} is 0: leave it out for none"])


def _cap_below(initial: float, longest: float) -> list[str]:
    return [] if longest >= initial else ["max_delay_seconds is below initial_delay_seconds"]


def _no_problems(value: Any) -> list[str]:
    if value is None:
        return []
    names = isinstance(value, tuple | list) and all(isinstance(name, str) for name in value)
    if not names or len(value) > PROBLEMS_MAX or any(len(name) > PROBLEM_CHARACTERS for name in value):
        return ["retryable is no list of problem names"]
    return []
