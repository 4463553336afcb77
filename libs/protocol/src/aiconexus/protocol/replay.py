"""Remember which ids were seen, so that nothing counts twice; bounded for each sender, so that nobody evicts others."""

from collections import OrderedDict

from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.errors import ReplayedEnvelope
from aiconexus.protocol.limits import FRESHNESS_MS

WINDOW_MS = 2 * FRESHNESS_MS
"""An envelope from the edge of the future stays fresh for twice the freshness."""

CROWDED_IDS_MAX = 256


class ReplayWindow:
    """
    The ids of live envelopes that one process has seen lately.

    Args:
        senders_max: How many senders are remembered; the one that was quiet longest is forgotten first.
        ids_max: How many ids of one sender within the window.
        total_max: Once half of this many ids are held, a sender may have no more than ``CROWDED_IDS_MAX``.

    """

    def __init__(self, senders_max: int = 10_000, ids_max: int = 16_384, total_max: int = 1_000_000) -> None:
        self._senders_max = senders_max
        self._ids_max = ids_max
        self._crowded_at = total_max // 2
        self._total = 0
        self._seen: OrderedDict[str, OrderedDict[str, int]] = OrderedDict()

    def admit(self, sender: str, id_: str, now_ms: int) -> None:
        """
        Let an id pass once.

        Raises:
            ReplayedEnvelope: If it has passed before.
            RateLimited: If the sender has used up its window.

        """
        before_ms = now_ms - WINDOW_MS
        self._forget_quiet(before_ms)
        ids = self._ids_of(sender)
        while ids and next(iter(ids.values())) < before_ms:
            ids.popitem(last=False)
            self._total -= 1
        if id_ in ids:
            raise ReplayedEnvelope(id_)
        if len(ids) >= (self._ids_max if self._total < self._crowded_at else CROWDED_IDS_MAX):
            raise RateLimited(next(iter(ids.values())) - before_ms + 1)
        ids[id_] = now_ms
        self._total += 1

    def _forget_quiet(self, before_ms: int) -> None:
        while self._seen:
            ids = next(iter(self._seen.values()))
            if ids and next(reversed(ids.values())) >= before_ms:
                return
            self._seen.popitem(last=False)
            self._total -= len(ids)

    def _ids_of(self, sender: str) -> OrderedDict[str, int]:
        ids = self._seen.get(sender)
        if ids is None:
            ids = self._seen[sender] = OrderedDict()
            if len(self._seen) > self._senders_max:
                self._total -= len(self._seen.popitem(last=False)[1])
        self._seen.move_to_end(sender)
        return ids
