"""
Messages of any size, cut into parts and put together again.

A part begins with flags (1 byte), the number of its message (4), its index (4) and the size of the whole (8 bytes, all
big-endian). The last one ends with the SHA-256 of the whole. Parts are units of a channel like any others, so what a
broken connection did not deliver is sent again from the first missing index on.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

from aiconexus.protocol.direct_errors import FrameRefused, MessageTooLarge

PART_BYTES = 60 * 1024
"""Bytes of the message in one part, other than the last."""
DIGEST_BYTES = 32
LONG_BYTES = 256 * 1024
"""A message above this is not held back by the window; instead one at a time goes between two agents, each way."""
TEXT_FLAG = 1
ABANDONED_FLAG = 2

_HEAD = struct.Struct("!BIIQ")
NUMBERS = 2**32
PART_MAX_BYTES = _HEAD.size + PART_BYTES + DIGEST_BYTES


def count_of(size: int) -> int:
    """How many parts a message of a size has."""
    return max(1, -(-size // PART_BYTES))


def cut(data: bytes, number: int, *, is_text: bool = False) -> Iterator[bytes]:
    """Cut a message into parts."""
    view, size, digest = memoryview(data), len(data), hashlib.sha256()
    flags, last = TEXT_FLAG if is_text else 0, count_of(size) - 1
    for index in range(last + 1):
        piece = view[index * PART_BYTES : (index + 1) * PART_BYTES]
        digest.update(piece)
        part = _HEAD.pack(flags, number, index, size) + piece
        yield part + digest.digest() if index == last else part


def abandon(number: int) -> bytes:
    """The part that says that no more of a message will come."""
    return _HEAD.pack(ABANDONED_FLAG, number, 0, 0)


class Head(NamedTuple):
    """What a part says of itself."""

    flags: int
    number: int
    place: int
    size: int

    @property
    def is_abandoned(self) -> bool:
        """Whether it only says that no more will come."""
        return bool(self.flags & ABANDONED_FLAG)

    @property
    def is_text(self) -> bool:
        """Whether the message is text."""
        return bool(self.flags & TEXT_FLAG)

    @property
    def is_long(self) -> bool:
        """Whether the message needs room of its own."""
        return self.size > LONG_BYTES


def head_of(part: bytes) -> Head:
    """
    Read the head of a part.

    Raises:
        FrameRefused: If there is none.

    """
    if len(part) < _HEAD.size:
        raise FrameRefused("a part without a head")
    return Head(*_HEAD.unpack_from(part))


class Budget:
    """
    Room for the long messages of one peer, under way or not read yet.

    Args:
        limit_bytes: How much.

    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def reserve(self, size: int) -> None:
        """
        Take room.

        Raises:
            FrameRefused: If there is none left.

        """
        if self.used_bytes + size > self.limit_bytes:
            raise FrameRefused("several long messages at once")
        self.used_bytes += size

    def release(self, size: int) -> None:
        """Give room back."""
        self.used_bytes -= size


class Assembler:
    """
    Puts messages together whose parts come in any order, each once.

    Args:
        budget: Room for long messages; its limit is the longest message.

    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._open: dict[int, _Assembly] = {}

    def add(self, head: Head, part: bytes) -> bytes | str | None:
        """
        Take a part; the room of a long message stays taken until ``budget.release``, or it is abandoned.

        Returns:
            The message that it completes.

        Raises:
            FrameRefused: If it contradicts itself or what came before, or the hash does.
            MessageTooLarge: If the whole is more than we take.

        """
        assembly = self._open.get(head.number) or self._begin(head)
        if head.size != assembly.size or head.is_text != assembly.is_text:
            raise FrameRefused("parts of one message that do not fit together")
        if not assembly.add(head.place, part[_HEAD.size :]):
            return None
        whole = assembly.whole()
        del self._open[head.number]
        return whole

    def abandon(self, number: int) -> None:
        """Forget a message under way."""
        assembly = self._open.pop(number, None)
        if assembly is not None and assembly.size > LONG_BYTES:
            self._budget.release(assembly.size)

    def close(self) -> None:
        """Forget all that are under way."""
        for number in tuple(self._open):
            self.abandon(number)

    def _begin(self, head: Head) -> "_Assembly":
        if head.size > self._budget.limit_bytes:
            raise MessageTooLarge(head.size, self._budget.limit_bytes)
        if head.is_long:
            self._budget.reserve(head.size)
        assembly = self._open[head.number] = _Assembly(head.size, is_text=head.is_text)
        return assembly


class _Assembly:
    """One message under way."""

    def __init__(self, size: int, *, is_text: bool) -> None:
        self.size = size
        self.is_text = is_text
        self._count = count_of(size)
        self._pieces: dict[int, bytes] = {}
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._said = b""

    def add(self, index: int, piece: bytes) -> bool:
        """Take a piece; returns whether it was the last one missing."""
        if index >= self._count or index in self._pieces:
            raise FrameRefused("a part that does not belong to its message")
        if index == self._count - 1:
            piece, self._said = piece[:-DIGEST_BYTES], piece[-DIGEST_BYTES:]
        if len(piece) != min(PART_BYTES, self.size - index * PART_BYTES):
            raise FrameRefused("a part of the wrong length")
        self._pieces[index] = piece
        while self._hashed in self._pieces:
            self._digest.update(self._pieces[self._hashed])
            self._hashed += 1
        return len(self._pieces) == self._count

    def whole(self) -> bytes | str:
        """The message, if it is what its sender had."""
        if self._digest.digest() != self._said:
            raise FrameRefused("a message that does not have its hash")
        data = b"".join(self._pieces[index] for index in range(self._count))
        if not self.is_text:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise FrameRefused("a text that is none") from error
