"""How much one connection may ask for: token buckets and strikes. Time is an argument."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Key = TypeVar("Key")


class TokenBucket:
    """
    A budget that refills.

    Args:
        per_second: Tokens that come back each second.
        burst: Tokens that it holds at most, and at first.
        now: Seconds on any clock that only goes forward.

    """

    __slots__ = ("_burst", "_per_second", "_then", "_tokens")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._then = now

    def take(self, now: float) -> float:
        """
        Take one token.

        Returns:
            0 if there was one, otherwise the seconds until there is.

        """
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._per_second)
        self._then = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return (1 - self._tokens) / self._per_second


class Buckets(Generic[Key]):
    """
    One token bucket for each of many, so that connecting again does not refill it.

    Args:
        per_second: See ``TokenBucket``.
        burst: Likewise.
        size: How many are remembered; the one that was quiet longest is forgotten first.

    """

    def __init__(self, per_second: float, burst: float, size: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._size = size
        self._buckets: OrderedDict[Key, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: Key, now: float) -> TokenBucket:
        """The bucket of one of them."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._per_second, self._burst, now)
            if len(self._buckets) > self._size:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


class Strikes:
    """
    Mistakes of one connection, of which so many are forgiven within a window.

    Args:
        most: How many are forgiven.
        window_seconds: After this a mistake is forgotten.

    """

    __slots__ = ("_most", "_times", "_window_seconds")

    def __init__(self, most: int, window_seconds: float) -> None:
        self._most = most
        self._window_seconds = window_seconds
        self._times: deque[float] | None = None

    def strike(self, now: float) -> bool:
        """Count one more; true if it was one too many."""
        if self._times is None:
            self._times = deque()
        self._times.append(now)
        while self._times[0] <= now - self._window_seconds:
            self._times.popleft()
        return len(self._times) > self._most
