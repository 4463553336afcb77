"""How much one sender may ask for, so that nobody starves the others."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import thread_time

READING_SECONDS = 0.0001
"""What one request costs to read and verify. JSON of many small pieces costs up to three hundred times that."""
DEAR_SECONDS = 0.0003
DEAR_BYTES = 1024
"""Below one of these nothing is charged: what a small one costs is chance."""
_UNCHARGED = nullcontext()


class Budgets:
    """
    A rate and a burst for each sender (the generic cell rate algorithm, ITU-T I.371).

    Only one number is kept per sender: the time at which its budget would be full again. Refusals are charged too, up
    to a second burst; beyond that a sender is ignored, so that it cannot make us sign refusals all day.

    Args:
        rate_per_second: In the long run.
        burst: At once, after a rest.
        senders_max: The sender that was quiet longest is forgotten first, and has a full budget when it returns.

    """

    def __init__(self, rate_per_second: float, burst: int, senders_max: int) -> None:
        self._interval = 1.0 / rate_per_second
        self._tolerance = burst * self._interval
        self._senders_max = senders_max
        self._now = 0.0
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, sender: str, now: float) -> int | None:
        """
        Charge one request.

        Args:
            sender: Who asks.
            now: Seconds of a monotonic clock.

        Returns:
            0 if it may pass, otherwise after how many milliseconds the next one may; None if it is to be ignored.

        """
        self._now = now
        full_at = self._full_at.pop(sender, 0.0)
        full_at = max(full_at, now) + self._interval
        # A hair of tolerance, because the sums of floats are not exact.
        over = full_at - now - self._tolerance - self._interval * 1e-6
        if over > self._tolerance:
            self._full_at[sender] = full_at - self._interval
            return None
        self._full_at[sender] = full_at
        if len(self._full_at) > self._senders_max:
            self._full_at.popitem(last=False)
        return 0 if over <= 0 else int(over * 1000) + 1

    def reading(self, sender: str, size: int) -> AbstractContextManager[None]:
        """
        Charge what it costs to read and verify a request, in the block, whether it is acceptable or not.

        Args:
            sender: Who asked.
            size: Its bytes.

        """
        return _UNCHARGED if size < DEAR_BYTES else self._reading(sender, size)

    @contextmanager
    def _reading(self, sender: str, size: int) -> Iterator[None]:
        started = thread_time()
        try:
            yield
        finally:
            self.spend(sender, thread_time() - started, size)

    def spend(self, sender: str, seconds: float, size: int) -> None:
        """
        Charge what a request that passed has cost beyond the usual, as if it had been several.

        However dear it was, the next one is told when to come, and not ignored.

        Args:
            sender: Who asked.
            seconds: Of our time, to read and verify it.
            size: Its bytes.

        """
        if size >= DEAR_BYTES and seconds >= DEAR_SECONDS and sender in self._full_at:
            before, most = self._full_at[sender], self._now + 2 * self._tolerance - self._interval
            charged = before + (seconds / READING_SECONDS - 1) * self._interval
            self._full_at[sender] = max(before, min(charged, most))
