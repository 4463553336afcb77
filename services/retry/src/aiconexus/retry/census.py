"""How many open jobs a sender has: counted by the server, and remembered for a moment."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

FRESH_SECONDS = 2.0


class Census:
    """
    The limit on open jobs.

    Several replicas may together let in a few more than the limit.

    Args:
        count: Counts the open jobs of a sender.
        jobs_max: Of one sender.
        senders_max: Whose counts are remembered.

    """

    def __init__(self, count: Callable[[str], Awaitable[int]], jobs_max: int, senders_max: int) -> None:
        self._count = count
        self._jobs_max = jobs_max
        self._senders_max = senders_max
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def limit_reached(self, sender: str) -> int:
        """
        The limit if the sender has that many jobs, 0 if it may have another one.

        Raises:
            BusError: If they cannot be counted.

        """
        known = self._counts.get(sender)
        if known is None or time.monotonic() - known[1] > FRESH_SECONDS:
            self._counts[sender] = known = (await self._count(sender), time.monotonic())
            self._counts.move_to_end(sender)
            if len(self._counts) > self._senders_max:
                self._counts.popitem(last=False)
        return self._jobs_max if known[0] >= self._jobs_max else 0

    def add(self, sender: str) -> None:
        """One more."""
        known = self._counts.get(sender)
        if known is not None:
            self._counts[sender] = (known[0] + 1, known[1])
