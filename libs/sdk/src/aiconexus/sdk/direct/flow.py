"""
What a reliable channel sends, and what of it the other side does not have yet: pure bookkeeping.

A channel carries units: messages, parts of messages, and its end. They are numbered from 0; in an ordered channel both
sides count, in an unordered one the number stands in front. The sender keeps each until the receiver has counted it, so
that another connection can go on where one broke off, and sends no more than the receiver has room for: a reader that
is slow holds up the writer, not the memory of either.

A frame is a kind (1 byte), in an unordered channel the number of its first unit (8 bytes), and what the kind says.
"""

import struct
from collections import deque

from aiconexus.protocol.direct_errors import FrameRefused
from aiconexus.sdk.direct.parts import PART_MAX_BYTES

BINARY, TEXT, PART, CLOSE, BUNDLE, ACK, START = range(7)
"""The first four are units; a bundle is several, each behind its length; ACK says how far, START where from."""
KINDS = tuple(bytes([kind]) for kind in range(7))

WINDOW_BYTES = 1024 * 1024
"""What the receiver keeps for its reader; ``UNIT_COST`` for each unit included."""
UNIT_COST = 128
UNIT_MAX_BYTES = 1 + PART_MAX_BYTES
MESSAGE_IN_UNIT_MAX_BYTES = 16 * 1024
"""Longer messages go in parts."""

NUMBER = struct.Struct("!Q")
LENGTH = struct.Struct("!I")
ACK_BODY = struct.Struct("!QQ")


def ack_frame(received: int, consumed: int) -> bytes:
    """The frame that says what came and what has been read."""
    return KINDS[ACK] + ACK_BODY.pack(received, consumed)


def start_frame(number: int) -> bytes:
    """The frame that says which unit the next one is."""
    return KINDS[START] + NUMBER.pack(number)


class Outflow:
    """
    Units on their way.

    Args:
        is_numbered: Whether the channel is unordered.
        window_bytes: The receiver's room.

    """

    def __init__(self, *, is_numbered: bool = False, window_bytes: int = WINDOW_BYTES) -> None:
        self._is_numbered = is_numbered
        self.waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.room = window_bytes
        """What may still be sent; units go while it is above 0."""
        self._unacked: deque[bytes] = deque()
        self._base = 0
        self._consumed = 0
        self._sent_cost = 0
        self._most_sent = 0
        self._most_units = 0

    @property
    def has_sendable(self) -> bool:
        """Whether a frame can be taken."""
        return bool(self.waiting) and self.room > 0

    @property
    def is_empty(self) -> bool:
        """Whether the receiver has all."""
        return not self.waiting and not self._unacked

    @property
    def next_number(self) -> int:
        """The number of the first unit that was not sent."""
        return self._base + len(self._unacked)

    @property
    def consumed(self) -> int:
        """What the receiver's reader has taken, as it counts."""
        return self._consumed

    @property
    def total_cost(self) -> int:
        """What ``consumed`` will be once everything was taken."""
        return self._sent_cost + self.waiting_bytes + UNIT_COST * len(self.waiting)

    def unit_of(self, data: bytes | str) -> bytes:
        """
        The unit of a message.

        Raises:
            TypeError: If it is neither bytes nor text.

        """
        if isinstance(data, bytes):
            return b"\0" + data
        if isinstance(data, str):
            return b"\1" + data.encode()
        raise TypeError(f"a message is bytes or str, not {type(data).__name__}")

    def put(self, unit: bytes) -> None:
        """Have a unit wait for its turn."""
        self.waiting.append(unit)
        self.waiting_bytes += len(unit)

    def send(self, unit: bytes) -> bytes:
        """Send a unit before which none waits; returns its frame."""
        frame = unit[:1] + NUMBER.pack(self.next_number) + unit[1:] if self._is_numbered else unit
        self._unacked.append(unit)
        cost = len(unit) + UNIT_COST
        self._sent_cost += cost
        self.room -= cost
        if self._sent_cost > self._most_sent:
            self._most_sent = self._sent_cost
            self._most_units = self.next_number
        return frame

    def take(self, bundle_bytes: int = 0) -> bytes:
        """
        The next frame.

        Args:
            bundle_bytes: Units are bundled up to this size; each goes alone if it is 0.

        """
        waiting = self.waiting
        unit = waiting.popleft()
        size = len(unit) + LENGTH.size
        if not waiting or size + LENGTH.size + len(waiting[0]) > bundle_bytes:
            self.waiting_bytes -= len(unit)
            return self.send(unit)
        number = self.next_number
        pieces = [KINDS[BUNDLE]]
        if self._is_numbered:
            pieces.append(NUMBER.pack(number))
        while True:
            self.waiting_bytes -= len(unit)
            self.send(unit)
            pieces += (LENGTH.pack(len(unit)), unit)
            if not waiting or self.room <= 0 or size + LENGTH.size + len(waiting[0]) > bundle_bytes:
                return b"".join(pieces)
            unit = waiting.popleft()
            size += LENGTH.size + len(unit)

    def note_ack(self, received: int, consumed: int) -> None:
        """
        The receiver has so many units, and has read so much.

        Raises:
            FrameRefused: If we never sent as much.

        """
        # A receiver of an unordered channel may have, and have read, what would be sent again after a rewind.
        if received > self._most_units or consumed > self._most_sent:
            raise FrameRefused("an acknowledgement of what was not sent")
        while self.next_number < received:
            unit = self.waiting.popleft()
            self.waiting_bytes -= len(unit)
            self.send(unit)
        while self._base < received:
            self._unacked.popleft()
            self._base += 1
        if consumed > self._consumed:
            self.room += consumed - self._consumed
            self._consumed = consumed

    def rewind(self, received: int, consumed: int) -> int:
        """
        Send again what the receiver does not have.

        Returns:
            The number of the first unit of it.

        Raises:
            FrameRefused: If we never sent as much.

        """
        # An acknowledgement may have overtaken the word that we act on.
        self.note_ack(received, consumed)
        again = sum(map(len, self._unacked))
        cost = again + UNIT_COST * len(self._unacked)
        self.waiting.extendleft(reversed(self._unacked))
        self._unacked.clear()
        self.waiting_bytes += again
        self._sent_cost -= cost
        self.room += cost
        return self._base

    def clear(self) -> int:
        """Give everything up; returns how many units the receiver does not have for certain."""
        left = len(self.waiting) + len(self._unacked)
        self.waiting.clear()
        self._unacked.clear()
        self.waiting_bytes = 0
        return left
