"""
How much a peer's link carries, and what follows from it.

The mode comes from what waits to be sent to one peer, in the stack and before it. It decides how little is given to the
stack at once (what is there can no longer be overtaken), up to which size small messages share a frame, and how the
priorities share the link. None of it loses a message or stops a channel: each priority always has some share.
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from aiconexus.sdk.direct.channel_config import Priority

KIB = 1024


class BandwidthMode(StrEnum):
    """How the link of a peer keeps up with what is sent."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


TO_MEDIUM_ABOVE = 512 * KIB
TO_LOW_ABOVE = 1024 * KIB
FROM_LOW_BELOW = 256 * KIB
TO_HIGH_BELOW = 128 * KIB


class Conduct(msgspec.Struct, frozen=True):
    """
    What a mode means.

    ``stack_bytes`` is what the stack may hold, ``bundle_bytes`` the size up to which messages share a frame (0: none
    do), ``shares`` how HIGH, NORMAL and LOW channels that all have something to send divide the link.
    """

    stack_bytes: int
    bundle_bytes: int
    shares: tuple[int, int, int]


CONDUCTS = {
    BandwidthMode.HIGH: Conduct(256 * KIB, 0, (1, 1, 1)),
    BandwidthMode.MEDIUM: Conduct(128 * KIB, 4 * KIB, (4, 2, 1)),
    BandwidthMode.LOW: Conduct(64 * KIB, 16 * KIB, (16, 4, 1)),
}
LOW_THRESHOLD = 16 * KIB
"""``bufferedAmountLowThreshold``; a channel that has less in the stack does not count, so that one always wakes us."""


def next_mode(mode: BandwidthMode, buffered_bytes: int) -> BandwidthMode:
    """The mode that follows from what waits to be sent; between the thresholds it stays."""
    if mode is BandwidthMode.HIGH and buffered_bytes > TO_MEDIUM_ABOVE:
        mode = BandwidthMode.MEDIUM
    if mode is BandwidthMode.MEDIUM and buffered_bytes > TO_LOW_ABOVE:
        return BandwidthMode.LOW
    if mode is BandwidthMode.LOW and buffered_bytes < FROM_LOW_BELOW:
        mode = BandwidthMode.MEDIUM
    if mode is BandwidthMode.MEDIUM and buffered_bytes < TO_HIGH_BELOW:
        return BandwidthMode.HIGH
    return mode


class Source(Protocol):
    """A channel, as the sender sees it."""

    priority: Priority

    @property
    def stack_bytes(self) -> int:
        """What the stack holds of it."""

    @property
    def waiting_bytes(self) -> int:
        """What waits before the stack."""

    @property
    def has_sendable(self) -> bool:
        """Whether a frame could be given to the stack now."""

    def transmit(self, bundle_bytes: int) -> int:
        """Give a frame to the stack; returns its bytes."""


class Sender:
    """
    Decides whose frame is next, for all channels of one peer.

    Args:
        on_mode: Told of every new mode.

    """

    def __init__(self, on_mode: Callable[[BandwidthMode], None]) -> None:
        self._on_mode = on_mode
        self._sources: dict[Source, None] = {}
        self._ready: tuple[deque[Source], ...] = tuple(deque() for _ in Priority)
        self._clocks = [0.0 for _ in Priority]
        self._is_pumping = False
        self._is_full = False
        self.mode = BandwidthMode.HIGH
        self.waiting_bytes = 0
        """What waits before the stack."""
        self.room = CONDUCTS[self.mode].stack_bytes
        """What the stack may still be given; a direct send takes from it what it sends."""

    @property
    def buffered_bytes(self) -> int:
        """All that waits to be sent."""
        return self.waiting_bytes + sum(source.stack_bytes for source in self._sources)

    def add(self, source: Source) -> None:
        """Send for a channel, too."""
        self._sources[source] = None

    def remove(self, source: Source) -> None:
        """No more."""
        self._sources.pop(source, None)
        for ready in self._ready:
            if source in ready:
                ready.remove(source)
        self.pump()

    def note_waiting(self, source: Source, size: int) -> None:
        """Something waits, of so many bytes."""
        self.waiting_bytes += size
        ready = self._ready[source.priority]
        if source not in ready:
            if not ready:
                self._catch_up(source.priority)
            ready.append(source)
        if not self._is_full:
            self.pump()
        elif self.waiting_bytes > TO_MEDIUM_ABOVE:
            self._set_mode(next_mode(self.mode, self.waiting_bytes))

    def wake(self, source: Source) -> None:
        """A channel that could not send can again."""
        if source.waiting_bytes and source not in self._ready[source.priority]:
            self._ready[source.priority].append(source)
        self.pump()

    def pump(self) -> None:
        """Give the stack what it has room for."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            self._refresh()
            while self.room > 0 and (source := self._next()) is not None:
                sent = source.transmit(CONDUCTS[self.mode].bundle_bytes)
                self.room -= sent
                self._clocks[source.priority] += sent / CONDUCTS[self.mode].shares[source.priority]
                if self.room <= 0:
                    self._refresh()
            # Full is what the stack will tell the end of; room that direct sends have used up is only an estimate.
            self._is_full = self.room <= 0
        finally:
            self._is_pumping = False

    def _refresh(self) -> None:
        """See what the stack has sent since."""
        in_stack = [source.stack_bytes for source in self._sources]
        self.waiting_bytes = sum(source.waiting_bytes for source in self._sources)
        self._set_mode(next_mode(self.mode, self.waiting_bytes + sum(in_stack)))
        counted = sum(max(0, size - LOW_THRESHOLD) for size in in_stack)
        self.room = CONDUCTS[self.mode].stack_bytes - counted

    def _next(self) -> Source | None:
        """The channel whose turn it is: of the priority that had least for its share, the one that waited longest."""
        for priority in sorted(Priority, key=self._clocks.__getitem__):
            ready = self._ready[priority]
            for _ in range(len(ready)):
                source = ready.popleft()
                if source.has_sendable:
                    ready.append(source)
                    return source
                # It comes back by ``wake``, or with its next message.
        return None

    def _catch_up(self, priority: Priority) -> None:
        """A priority that had nothing to send has saved nothing up."""
        busy = [self._clocks[other] for other in Priority if self._ready[other]]
        if busy:
            self._clocks[priority] = max(self._clocks[priority], min(busy))

    def _set_mode(self, mode: BandwidthMode) -> None:
        if mode is not self.mode:
            self.mode = mode
            self._on_mode(mode)
