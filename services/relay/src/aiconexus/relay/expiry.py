"""When stored envelopes end, and what their senders are told: no I/O, no clock."""

import heapq
from hashlib import sha256

from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.ids import RANDOM_BYTES, envelope_id


class Agenda:
    """
    The ends of stored envelopes, the nearest first, bounded in number.

    With more than twice ``entries_max`` only the nearest are kept, and ``horizon_ms`` says up to when they are all;
    beyond it the mailboxes have to be walked again.
    """

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._heap: list[tuple[int, int]] = []
        self._horizon_ms: int | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, ends_ms: int, sequence: int) -> None:
        """Note when the entry at a sequence ends."""
        if self._horizon_ms is not None and ends_ms >= self._horizon_ms:
            return
        heapq.heappush(self._heap, (ends_ms, sequence))
        if len(self._heap) > 2 * self._entries_max:
            self._heap.sort()
            self._horizon_ms = self._heap[self._entries_max][0]
            # Ends are no longer unique at the horizon: everything there goes, the next walk finds it.
            self._heap = [entry for entry in self._heap if entry[0] < self._horizon_ms]

    def due(self, now_ms: int, limit: int) -> list[int]:
        """Take the sequences whose end has come, at most ``limit`` of them, the earliest end first."""
        sequences: list[int] = []
        while self._heap and self._heap[0][0] <= now_ms and len(sequences) < limit:
            sequences.append(heapq.heappop(self._heap)[1])
        return sequences

    def needs_walk(self, now_ms: int) -> bool:
        """Whether ends may have come that were not noted for lack of room."""
        return self._horizon_ms is not None and now_ms >= self._horizon_ms

    def clear(self) -> None:
        """Forget everything before a new walk."""
        self._heap.clear()
        self._horizon_ms = None


def notice_id(envelope: Envelope) -> str:
    """
    The id of the notice that an envelope expired.

    The same for everybody who works it out, so that a replica that takes over in the middle says nothing twice.
    """
    return envelope_id(envelope.ends_ms, sha256(f"{envelope.sender} {envelope.id}".encode()).digest()[:RANDOM_BYTES])
