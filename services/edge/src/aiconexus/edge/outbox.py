"""What waits to be written to one WebSocket, bounded in messages and in bytes."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType

Write = Callable[[bytes, WSMsgType], Awaitable[None]]


class Outbox:
    """
    Frames on their way to one agent, in order.

    Nothing is written before ``open``. A task exists only while there is something to write: it waits whenever the
    agent reads more slowly than we write.

    Args:
        write: Writes a frame, and waits for a slow reader.
        on_full: Called when a bound was passed; the frame that passed it is dropped.
        messages_max: Frames that may wait.
        bytes_max: Bytes that may wait.

    """

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_frames",
        "_is_closed",
        "_is_open",
        "_messages_max",
        "_on_full",
        "_task",
        "_write",
    )

    def __init__(self, write: Write, on_full: Callable[[], None], *, messages_max: int, bytes_max: int) -> None:
        self._write = write
        self._on_full = on_full
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._frames: deque[tuple[bytes, WSMsgType]] = deque()
        self._bytes = 0
        self._is_open = False
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: bytes, kind: WSMsgType) -> None:
        """Add a frame at the end; once closed, forget it."""
        if self._is_closed:
            return
        if len(self._frames) >= self._messages_max or self._bytes + len(frame) > self._bytes_max:
            self._on_full()
            return
        self._bytes += len(frame)
        self._frames.append((frame, kind))
        if self._is_open and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pump())

    def open(self, first: bytes, kind: WSMsgType) -> None:
        """Begin to write: first this frame, then what has waited so far."""
        self._is_open = True
        self._bytes += len(first)
        self._frames.appendleft((first, kind))
        self._task = asyncio.get_running_loop().create_task(self._pump())

    async def close(self, wait_seconds: float) -> None:
        """
        Write no more.

        Args:
            wait_seconds: How long what waits may take to be written.

        """
        task = self._task
        if task is not None:
            if wait_seconds > 0:
                await asyncio.wait((task,), timeout=wait_seconds)
            task.cancel()
            await asyncio.wait((task,))
        self._forget()

    def _forget(self) -> None:
        self._is_closed = True
        self._frames.clear()
        self._bytes = 0

    async def _pump(self) -> None:
        try:
            while self._frames:
                frame, kind = self._frames.popleft()
                self._bytes -= len(frame)
                await self._write(frame, kind)
        except ConnectionError:
            # The agent is gone: whoever reads from it notices, too.
            self._forget()
        finally:
            self._task = None
