"""
What has arrived at a desk and waits for its turn: in order, and bounded.

It stands between the socket and the handlers, so that the socket is read while a handler waits. The client library has
such a queue too, at several times the price; on the hot path that counts.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from prometheus_client import Counter

from aiconexus.bus.session import Handler, Incoming

DROPPED = Counter("aiconexus_runtime_requests_dropped_total", "Requests that found no room; nobody answers them")

MESSAGES_PER_TURN = 64
"""After so many messages the loop turns: what they have sent leaves, and what has come is read, meanwhile."""


class Backlog:
    """
    A queue with one worker.

    Args:
        work: Called for one message after the other.
        on_error: Told what ``work`` raises; the next message is worked on all the same.
        messages_max: How many may wait; more are dropped.
        bytes_max: Likewise in bytes.

    """

    def __init__(
        self,
        work: Handler,
        on_error: Callable[[Exception], None],
        messages_max: int = 65_536,
        bytes_max: int = 64 * 1024 * 1024,
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._waiting: deque[Incoming] = deque()
        self._news = asyncio.Event()
        self._done = asyncio.Event()

    async def put(self, incoming: Incoming) -> None:
        """Queue a message, or drop it; never waits."""
        if len(self._waiting) >= self._messages_max or self._bytes >= self._bytes_max:
            DROPPED.inc()
            return
        self._waiting.append(incoming)
        self._bytes += len(incoming.data)
        self._done.clear()
        self._news.set()

    async def run(self) -> None:
        """Work for ever."""
        while True:
            await self._news.wait()
            done = 0
            while self._waiting:
                done += 1
                if done % MESSAGES_PER_TURN == 0:
                    await asyncio.sleep(0)
                incoming = self._waiting.popleft()
                self._bytes -= len(incoming.data)
                try:
                    await self._work(incoming)
                except Exception as error:  # noqa: BLE001 - one message must not end the work on the others
                    self._on_error(error)
            self._news.clear()
            self._done.set()

    async def settle(self) -> None:
        """Wait until everything that was queued is done."""
        if self._news.is_set():
            await self._done.wait()
