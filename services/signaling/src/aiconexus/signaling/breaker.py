"""
When a server that failed is tried again, and what it takes to be believed again: no I/O, no clock.

A circuit breaker (M. Nygard, Release It!): closed, failures are counted; after some in a row it is open and nobody
bothers the server; after a while it is half open, and one trial decides.
"""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Of a breaker: current flows when it is closed."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Pace(msgspec.Struct, frozen=True):
    """
    How patient a breaker is.

    ``every`` seconds lie between trials of a server that is well, ``again`` between those of one that has just failed.
    A breaker that opens stays so for ``rest`` seconds, twice as long after each trial in vain, ``rest_max`` at most.
    """

    every: float
    again: float
    failures_max: int
    rest: float
    rest_max: float


class Breaker(msgspec.Struct, frozen=True):
    """
    What is known of one server.

    ``failures`` in a row; ``openings`` in a row; the next trial is due at ``due_at`` of the caller's clock.
    """

    state: State = State.CLOSED
    failures: int = 0
    openings: int = 0
    due_at: float = 0.0


def tried(breaker: Breaker, now: float) -> Breaker:
    """Say that a trial begins, which it may once it is due."""
    if breaker.state is State.OPEN and now >= breaker.due_at:
        return msgspec.structs.replace(breaker, state=State.HALF_OPEN)
    return breaker


def succeeded(_: Breaker, now: float, pace: Pace) -> Breaker:
    """Say that the server is well: all that it did is forgiven."""
    return Breaker(due_at=now + pace.every)


def failed(breaker: Breaker, now: float, pace: Pace) -> Breaker:
    """Say that the server did not do what it should."""
    failures = breaker.failures + 1
    if breaker.state is State.CLOSED and failures < pace.failures_max:
        return msgspec.structs.replace(breaker, failures=failures, due_at=now + pace.again)
    rest = min(pace.rest * 2**breaker.openings, pace.rest_max)
    # Beyond what any pace can double to, so that the power stays small.
    openings = min(breaker.openings + 1, 32)
    return Breaker(State.OPEN, failures, openings, now + rest)
