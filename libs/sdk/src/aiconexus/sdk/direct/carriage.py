"""One pipe as its sender sees it: what it carried, what the peer took, and what to do with the rest once it breaks."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.sdk.direct.seam import Pipe

WINDOW = 64
"""Envelopes that the peer has not taken yet."""
WINDOW_BYTES = 1024 * 1024


class Carriage:
    """
    The window over one pipe.

    It is ready once nothing that went another way can be overtaken, and broken for ever from its first failure on. One
    that ``succeeds`` another pipe is to be waited for: meanwhile nothing may take the relay.

    Args:
        pipe: The system channel.
        on_closed: Called when it turns out to be closed; has to break it off.

    """

    def __init__(self, pipe: Pipe, on_closed: Callable[["Carriage"], None]) -> None:
        self.pipe = pipe
        self._on_closed = on_closed
        self.is_ready = False
        self.succeeds = False
        self.is_broken = False
        self._untaken: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        self._kept: dict[str, None] = {}
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._change = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether another envelope may be carried."""
        return len(self._untaken) < WINDOW and self._bytes < WINDOW_BYTES

    @property
    def is_idle(self) -> bool:
        """Whether the peer has taken all that was carried."""
        return not self._untaken

    async def wait_room(self) -> bool:
        """
        Wait until another envelope may be carried.

        Returns:
            False if the pipe broke instead.

        """
        while not self.is_broken and not (self.is_ready and self.has_room):
            await self._next_change()
        return not self.is_broken

    async def wait_idle(self) -> None:
        """Wait until the peer has taken everything, or the pipe is broken."""
        while not self.is_broken and not self.is_idle:
            await self._next_change()

    def make_ready(self) -> None:
        """Let envelopes of the outbox go this way."""
        self.is_ready = True
        self._note_change()

    def carry(self, id_: str, sealed: bytes, *, kept: bool = True) -> bool:
        """
        Send an envelope; the ``kept`` ones belong to the outbox and count as carried until they are processed.

        Returns:
            False if the pipe is broken.

        """
        if self.is_broken:
            return False
        if id_ in self._untaken:
            return True
        try:
            self.pipe.send(sealed)
        except ChannelClosed:
            self._on_closed(self)
            return False
        self._untaken[id_] = len(sealed)
        self._bytes += len(sealed)
        if kept:
            self._kept[id_] = None
        return True

    async def hand(self, id_: str, sealed: bytes, timeout_seconds: float) -> bool:
        """
        Send an envelope that is nobody's to keep, and wait until the peer has taken it.

        Returns:
            Whether it has.

        """
        if not self.carry(id_, sealed, kept=False):
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = future
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            return False
        finally:
            del self._waiting[id_]

    def note_taken(self, ids: Iterable[str], *, taken: bool = True) -> list[str]:
        """
        The peer took these, or did not want them this way.

        Returns:
            Those that it had not told of before and that belong to the outbox.

        """
        told: list[str] = []
        for id_ in ids:
            size = self._untaken.pop(id_, None)
            if size is None:
                continue
            self._bytes -= size
            if id_ in self._kept:
                told.append(id_)
                if not taken:
                    del self._kept[id_]
            elif (future := self._waiting.get(id_)) is not None and not future.done():
                future.set_result(taken)
        self._note_change()
        return told

    def forget(self, id_: str) -> None:
        """An envelope has come to its end."""
        self._kept.pop(id_, None)

    def adopt(self, ids: Iterable[str]) -> None:
        """Answer for envelopes that the peer took from an earlier pipe."""
        self._kept.update(dict.fromkeys(ids))

    def break_off(self) -> tuple[list[str], list[str]]:
        """
        Use it no more.

        Returns:
            What the peer took and has not processed, and what it may never have seen, each in order.

        """
        self.is_broken = True
        for future in self._waiting.values():
            if not future.done():
                future.set_result(False)
        taken = [id_ for id_ in self._kept if id_ not in self._untaken]
        untaken = [id_ for id_ in self._kept if id_ in self._untaken]
        self._kept.clear()
        self._untaken.clear()
        self._bytes = 0
        self._note_change()
        return taken, untaken

    async def _next_change(self) -> None:
        self._change.clear()
        await self._change.wait()

    def _note_change(self) -> None:
        self._change.set()
