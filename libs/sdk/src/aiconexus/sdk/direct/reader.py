"""The reading half of a channel: messages wait here until the application takes them, one by one or by a callback."""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from typing import Any

from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.inflow import Inflow
from aiconexus.sdk.direct.loose import LooseIn

TURN_MESSAGES = 64
"""A callback gets so many messages before others have a turn of the event loop."""


class Reader:
    """
    Hands out what came.

    Args:
        source: What came.
        on_read: Told after messages were taken: there is room again.

    """

    def __init__(self, source: Inflow | LooseIn, on_read: Callable[[], None]) -> None:
        self.source = source
        self.messages = 0
        self.bytes = 0
        self._on_read = on_read
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._callback: Callable[[Any], Any] | None = None
        self._called: asyncio.Future[Any] | None = None
        self._is_scheduled = False
        self._is_done = False
        self._error: Exception | None = None

    async def receive(self) -> bytes | str | None:
        """
        Wait for the next message.

        Returns:
            None after the last one.

        Raises:
            ChannelClosed: After the last one, if the channel did not end as it should.

        """
        source = self.source
        while not source.messages:
            if self._is_done:
                if self._error is not None:
                    raise self._error
                return None
            await self._wait()
        message = self._read()
        self._on_read()
        if source.messages and self._waiting:
            self.notify()
        return message

    def have_called(self, callback: Callable[[Any], Any]) -> None:
        """Have a callback get each message; if it is a coroutine function, one at a time."""
        self._callback = callback
        self.notify()

    def notify(self) -> None:
        """Something came."""
        if self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
        elif self._callback is not None and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._call)

    def finish(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self._is_done = True
        self._error = error
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _read(self) -> bytes | str:
        message, traffic = self.source.read(), metrics.traffic
        size = len(message)
        traffic.messages_received += 1
        traffic.bytes_received += size
        self.messages += 1
        self.bytes += size
        return message

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # Whoever else waits must not miss what this one was woken for.
            if waiter.done() and self.source.messages:
                self.notify()
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _call(self) -> None:
        """Call the callback; what it raises is for the loop, and the next message comes all the same."""
        self._is_scheduled = False
        try:
            for _ in range(TURN_MESSAGES):
                if not self.source.messages or self._callback is None:
                    break
                result = self._callback(self._read())
                if inspect.isawaitable(result):
                    self._is_scheduled = True
                    # The loop alone would not keep it.
                    self._called = asyncio.ensure_future(result)
                    self._called.add_done_callback(self._end_call)
                    break
        finally:
            self._on_read()
            if self.source.messages and not self._is_scheduled:
                self.notify()

    def _end_call(self, task: "asyncio.Future[Any]") -> None:
        self._is_scheduled = False
        self._called = None
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "a callback of a channel failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
        if self.source.messages:
            self.notify()
