"""The parts of a streamed answer: how many may be on their way, which one is next, and whether all came. Pure."""

import hashlib
from collections import deque
from typing import Any

import msgspec

from aiconexus.protocol import text
from aiconexus.protocol.call_bodies import Chunk
from aiconexus.protocol.errors import MalformedEnvelope

WINDOW_CHUNKS = 32
WINDOW_BYTES = 256 * 1024
"""So much may be on its way to a caller that has not taken it; both are part of the protocol."""

AHEAD_CHUNKS = 4 * WINDOW_CHUNKS
"""What lies so far ahead of the next chunk is not kept: it will be sent again."""


class Window:
    """What a callee has sent and its caller has not taken."""

    def __init__(self) -> None:
        self.sent = 0
        self.taken = 0
        self._bytes = 0
        self._sizes: deque[int] = deque()

    @property
    def is_full(self) -> bool:
        """Whether the next chunk has to wait."""
        return len(self._sizes) >= WINDOW_CHUNKS or self._bytes >= WINDOW_BYTES

    def send(self, size: int) -> None:
        """A chunk goes out."""
        self.sent += 1
        self._sizes.append(size)
        self._bytes += size

    def take(self, next_: int) -> bool:
        """
        The caller has taken all below ``next_``.

        Returns:
            Whether that is news.

        """
        before = self.taken
        while self.taken < min(next_, self.sent):
            self.taken += 1
            self._bytes -= self._sizes.popleft()
        return self.taken > before


class Parts:
    """
    What a caller has got of a streamed answer.

    Args:
        next_: The first chunk that the application has not taken.

    """

    def __init__(self, next_: int = 0) -> None:
        self.next = next_
        self.end: int | None = None
        self._waiting: dict[int, Chunk] = {}

    def put(self, chunk: Chunk) -> bool:
        """
        Take a chunk that came.

        Returns:
            Whether it is news.

        """
        if not self.next <= chunk.index < self.next + AHEAD_CHUNKS or chunk.index in self._waiting:
            return False
        self._waiting[chunk.index] = chunk
        return True

    def take(self) -> Chunk | None:
        """The next chunk, if it is there."""
        chunk = self._waiting.pop(self.next, None)
        if chunk is not None:
            self.next += 1
            if chunk.last:
                self.end = self.next
        return chunk

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first chunk that lacks although a later one is known of, and the next one that is there."""
        if self.next in self._waiting or (not self._waiting and (self.end is None or self.next >= self.end)):
            return None
        return self.next, min(self._waiting, default=self.end or self.next)

    @property
    def is_whole(self) -> bool:
        """Whether everything was taken."""
        return self.end is not None and self.next >= self.end


class Digest:
    """The SHA-256 of all parts; None from the moment on that one has no RFC 8785 form."""

    def __init__(self) -> None:
        self._hash: Any = hashlib.sha256()

    def add(self, data: Any) -> None:
        """Take a part in."""
        if self._hash is None:
            return
        try:
            self._hash.update(text.canonical(msgspec.to_builtins(data, str_keys=True)) + b"\n")
        except (MalformedEnvelope, TypeError):
            self._hash = None

    @property
    def text(self) -> str | None:
        """In hex."""
        return None if self._hash is None else str(self._hash.hexdigest())
