"""Remember which ids were seen, so that nothing counts twice; bounded for each sender, so that nobody evicts others."""

from collections import OrderedDict

from aiconexus.protocol.errors import ReplayedEnvelope
from aiconexus.protocol.limits import FRESHNESS_MS

WINDOW_MS = 3 * FRESHNESS_MS
"""The freshness window plus twice the skew it allows."""


class ReplayWindow:
    """
    The ids of live envelopes that one process has seen lately.

    Args:
        senders_max: How many senders are remembered; the one that was quiet longest is forgotten first.
        ids_max: How many ids of one sender; more within the window are refused rather than forgotten.

    """

    def __init__(self, senders_max: int = 10_000, ids_max: int = 4_096) -> None:
        self._senders_max = senders_max
        self._ids_max = ids_max
        self._seen: OrderedDict[str, OrderedDict[str, int]] = OrderedDict()

    def admit(self, sender: str, id_: str, now_ms: int) -> None:
        """
        Let an id pass once.

        Raises:
            ReplayedEnvelope: If it has passed before, or the sender has used up its window.

        """
        ids = self._seen.get(sender)
        if ids is None:
            ids = self._seen[sender] = OrderedDict()
            if len(self._seen) > self._senders_max:
                self._seen.popitem(last=False)
        self._seen.move_to_end(sender)
        while ids and next(iter(ids.values())) < now_ms - WINDOW_MS:
            ids.popitem(last=False)
        if id_ in ids or len(ids) >= self._ids_max:
            raise ReplayedEnvelope(id_)
        ids[id_] = now_ms
