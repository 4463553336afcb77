"""What comes through a reliable channel: each unit once, in its turn, and no more than there is room for."""

from collections import deque

from aiconexus.protocol.direct_errors import FrameRefused
from aiconexus.sdk.direct.flow import (
    BINARY,
    BUNDLE,
    CLOSE,
    LENGTH,
    NUMBER,
    PART,
    TEXT,
    UNIT_COST,
    UNIT_MAX_BYTES,
    WINDOW_BYTES,
    ack_frame,
)
from aiconexus.sdk.direct.parts import Assembler, Budget, head_of

ACK_BYTES = WINDOW_BYTES // 8
"""The sender hears again after so much was read, so that it never stands still for want of a word."""
UNREAD_MAX_BYTES = WINDOW_BYTES + UNIT_MAX_BYTES + UNIT_COST


class _Ready:
    """A message that is not just the unit it came in: a text, or something that came in parts."""

    __slots__ = ("cost", "long_bytes", "value")

    def __init__(self, value: bytes | str, cost: int, long_bytes: int = 0) -> None:
        self.value = value
        self.cost = cost
        self.long_bytes = long_bytes


class Inflow:
    """
    Units as they arrive, and messages as they are read.

    Args:
        budget: Room for long messages.
        is_numbered: Whether the channel is unordered.

    """

    def __init__(self, budget: Budget, *, is_numbered: bool = False) -> None:
        self._budget = budget
        self._assembler = Assembler(budget)
        self._is_numbered = is_numbered
        self.messages: deque[bytes | _Ready] = deque()
        """Units of binary messages as they came, and what is ready otherwise."""
        self.received = 0
        """How many units came in turn."""
        self.consumed = 0
        """The cost of those that need no room any more."""
        self.is_ended = False
        """Whether the sender said that nothing more will come."""
        self._position = 0
        self._ahead: set[int] = set()
        self._end: int | None = None
        self._unread = 0
        self._partial: dict[int, int] = {}
        self._told = 0
        self._tells_now = False

    def start(self, number: int) -> None:
        """
        The sender begins at a unit, of which some may have come before.

        Raises:
            FrameRefused: If some between are missing.

        """
        if number > self.received:
            raise FrameRefused("units are missing")
        self._position = number

    def feed(self, frame: bytes) -> None:
        """
        Take a frame with units in it.

        Raises:
            FrameRefused: If it is none, or there is no room for it.
            MessageTooLarge: If it begins a message that is.

        """
        if self._is_numbered:
            self._feed_numbered(frame)
        elif frame[0] != BUNDLE:
            self._take_next(frame)
        else:
            for unit in _units(frame, 1):
                self._take_next(unit)

    def read(self) -> bytes | str:
        """The next message."""
        message = self.messages.popleft()
        if self._is_numbered and not self.messages:
            # A unit that was sent before a long message may be read after it, and the sender waits for both.
            self._tells_now = True
        if isinstance(message, bytes):
            self._free(len(message) + UNIT_COST)
            return message[1:]
        self._free(message.cost)
        if message.long_bytes:
            self._budget.release(message.long_bytes)
            self._tells_now = True
        return message.value

    def take_ack(self) -> bytes | None:
        """The frame that the sender should get now, if any."""
        if self.consumed - self._told < ACK_BYTES and not self._tells_now:
            return None
        self._told = self.consumed
        self._tells_now = False
        return ack_frame(self.received, self.consumed)

    def close(self) -> None:
        """Forget what is not complete; what is can still be read, but takes no room of the peer's."""
        self._assembler.close()
        self._partial.clear()
        for message in self.messages:
            if isinstance(message, _Ready) and message.long_bytes:
                self._budget.release(message.long_bytes)
                message.long_bytes = 0

    def _feed_numbered(self, frame: bytes) -> None:
        if len(frame) < 1 + NUMBER.size:
            raise FrameRefused("a unit without a number")
        (number,) = NUMBER.unpack_from(frame, 1)
        if frame[0] != BUNDLE:
            self._take_any(number, frame[:1] + frame[1 + NUMBER.size :])
            return
        for offset, unit in enumerate(_units(frame, 1 + NUMBER.size)):
            self._take_any(number + offset, unit)

    def _take_next(self, unit: bytes) -> None:
        self._position += 1
        if self._position > self.received:
            if self.is_ended:
                raise FrameRefused("a unit behind the end")
            self.received = self._position
            self._take(unit)
            self.is_ended = unit[0] == CLOSE

    def _take_any(self, number: int, unit: bytes) -> None:
        if number < self.received or number in self._ahead:
            return
        if number > self.received + UNREAD_MAX_BYTES // UNIT_COST:
            raise FrameRefused("a unit from far ahead")
        self._ahead.add(number)
        while self.received in self._ahead:
            self._ahead.remove(self.received)
            self.received += 1
        self._take(unit)
        if unit[0] == CLOSE:
            self._end = number
        self.is_ended = self._end is not None and self.received > self._end

    def _take(self, unit: bytes) -> None:
        cost = len(unit) + UNIT_COST
        self._unread += cost
        if self._unread > UNREAD_MAX_BYTES:
            raise FrameRefused("more than there is room for")
        kind = unit[0]
        if kind == BINARY:
            self.messages.append(unit)
        elif kind == TEXT:
            self.messages.append(_Ready(_text(unit), cost))
        elif kind == PART:
            self._take_part(unit[1:], cost)
        elif kind == CLOSE:
            self._free(cost)
        else:
            raise FrameRefused(f"kind {kind} is no unit")

    def _take_part(self, part: bytes, cost: int) -> None:
        head = head_of(part)
        if head.is_abandoned:
            self._assembler.abandon(head.number)
            self._free(cost + self._partial.pop(head.number, 0))
            self._tells_now = True
            return
        message = self._assembler.add(head, part)
        if head.is_long:
            # Its room is in the budget; the window is for what is not.
            self._free(cost)
            cost = 0
        cost += self._partial.pop(head.number, 0)
        if message is None:
            self._partial[head.number] = cost
        else:
            self.messages.append(_Ready(message, cost, head.size if head.is_long else 0))

    def _free(self, cost: int) -> None:
        self._unread -= cost
        self.consumed += cost


def _text(unit: bytes) -> str:
    try:
        return unit[1:].decode()
    except UnicodeDecodeError as error:
        raise FrameRefused("a text that is none") from error


def _units(frame: bytes, offset: int) -> list[bytes]:
    """The units of a bundle."""
    units, end = [], len(frame)
    while offset < end:
        if offset + LENGTH.size > end:
            raise FrameRefused("a bundle that breaks off")
        (length,) = LENGTH.unpack_from(frame, offset)
        offset += LENGTH.size
        if not 0 < length <= end - offset:
            raise FrameRefused("a bundle that breaks off")
        units.append(frame[offset : offset + length])
        offset += length
    return units
