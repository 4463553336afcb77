"""When a lost connection is tried again; the chances are handed in."""

from collections.abc import Callable, Iterator

SPREAD = 0.2
LOST_SECONDS = 0.3
"""A connection that is gone cannot come back by itself: the first pause only keeps both sides apart."""
TURN_EVERY = 3
SEEK_MAX_SECONDS = 900.0


def pauses(first_seconds: float, max_seconds: float, chance: Callable[[], float], *, lost: bool) -> Iterator[float]:
    """
    Seconds before each attempt: the first pause, doubled up to the longest, each 20 % shorter to 20 % longer.

    Args:
        first_seconds: What a silent connection gets to come back by itself.
        max_seconds: The longest pause.
        chance: Random numbers in [0, 1).
        lost: Whether there is nothing that could come back.

    """
    pause = first_seconds
    if lost:
        yield LOST_SECONDS * (1 + chance())
    while True:
        yield pause * (1 - SPREAD + 2 * SPREAD * chance())
        pause = min(pause * 2, max_seconds)


def seeking_pauses(first_seconds: float, chance: Callable[[], float]) -> Iterator[float]:
    """Seconds before each try of a connection through TURN to find a direct way; none if it is not to."""
    if first_seconds > 0:
        yield from pauses(first_seconds, max(first_seconds, SEEK_MAX_SECONDS), chance, lost=False)


def starts_with_turn(attempt: int) -> bool:
    """Whether an attempt, counted from 1, tries TURN at once: each third one."""
    return attempt % TURN_EVERY == 0
