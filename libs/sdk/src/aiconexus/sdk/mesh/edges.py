"""Keep the channels that a topology wants: open those that we have to open, and close those that nobody wants."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection

from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.retrying import wait_seconds
from aiconexus.sdk.topology import opener

LINGER_SECONDS = 3.0
"""How long an edge that was exchanged stays open, for those who have not heard of it."""
OPENER_SECONDS = 20.0
"""The other end opens a channel after so long: whoever is to do that may not have heard that it is wanted."""


class Edges:
    """
    The edges of one member; of two ends, the one that ``opener`` names offers, and the other one if that does not.

    Args:
        us: Our DID.
        connect: Opens a channel; returns once it may be used.
        close: Closes one.
        is_open: Whether there is one.
        crew: Background work.
        at_once: How many we open at a time.
        opener_seconds: How long the other end has, where it is to open.

    """

    def __init__(
        self,
        us: str,
        *,
        connect: Callable[[str], Awaitable[object]],
        close: Callable[[str], Awaitable[None]],
        is_open: Callable[[str], bool],
        crew: Crew,
        at_once: int,
        opener_seconds: float = OPENER_SECONDS,
    ) -> None:
        self.wanted: frozenset[str] = frozenset()
        self._us = us
        self._connect = connect
        self._close = close
        self._is_open = is_open
        self._crew = crew
        self._opener_seconds = opener_seconds
        self._room = asyncio.Semaphore(at_once)
        self._opened: set[str] = set()
        self._keepers: dict[str, asyncio.Event] = {}
        self._complete = asyncio.Event()

    @property
    def missing(self) -> set[str]:
        """Neighbours with whom we should have a channel and have none."""
        return {did for did in self.wanted if not self._is_open(did)}

    def want(self, neighbours: Collection[str]) -> None:
        """Have channels with these and, in a while, with nobody else."""
        before, self.wanted = self.wanted, frozenset(neighbours)
        for did in self.wanted:
            if did not in self._keepers:
                self._keepers[did] = asyncio.Event()
                self._crew.start(self._keep(did), f"edge-{did}")
        if before - self.wanted:
            for did in before - self.wanted:
                self.note(did)
            self._crew.start(self._tidy(), "edges-tidy")
        self._look()

    def note(self, did: str) -> None:
        """Something has happened to the channel with a member."""
        if did in self._keepers:
            self._keepers[did].set()
        self._look()

    async def wait_complete(self) -> None:
        """Wait until no channel is missing."""
        while self.missing:
            self._complete.clear()
            await self._complete.wait()

    def _look(self) -> None:
        if not self.missing:
            self._complete.set()

    async def _keep(self, did: str) -> None:
        """Try until there is a channel, as long as one is wanted."""
        news, attempt, is_ours = self._keepers[did], 0, opener(self._us, did) == self._us
        try:
            while did in self.wanted:
                news.clear()
                if self._is_open(did):
                    attempt = 0
                    await news.wait()
                    continue
                if not is_ours and not await self._pause(news, self._opener_seconds):
                    continue
                await self._try(did)
                if not self._is_open(did):
                    attempt += 1
                    await self._pause(news, wait_seconds(attempt, random.random()))  # noqa: S311 - spreads load
        finally:
            del self._keepers[did]

    async def _try(self, did: str) -> None:
        async with self._room:
            if did not in self.wanted or self._is_open(did):
                return
            self._opened.add(did)
            try:
                await self._connect(did)
            except AiconexusError:
                # Told as an incident; here it only matters that there is no channel.
                return

    async def _pause(self, news: asyncio.Event, seconds: float) -> bool:
        """Wait, unless there is news; returns whether there was none."""
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            return True
        return False

    async def _tidy(self) -> None:
        """Close what we opened and nobody wants, once others have taken its place."""
        try:
            async with asyncio.timeout(10 * LINGER_SECONDS):
                await self.wait_complete()
        except TimeoutError:
            # A gap must not keep what is too much for ever.
            pass
        await asyncio.sleep(LINGER_SECONDS)
        for did in self._opened - self.wanted:
            self._opened.discard(did)
            await self._close(did)
