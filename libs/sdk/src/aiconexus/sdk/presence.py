"""Who comes and goes, as identity tells it."""

import asyncio
from collections.abc import AsyncIterator, Collection

from aiconexus.protocol.bodies import Presence, Watching
from aiconexus.protocol.errors import AiconexusError, BusError
from aiconexus.protocol.limits import WATCH_MAX
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.link import Link

CHANGES_MAX = 1024


class Watcher:
    """One consumer of presence; a slow one loses the oldest changes."""

    def __init__(self, dids: frozenset[str]) -> None:
        self.dids = dids
        self._changes: asyncio.Queue[Presence] = asyncio.Queue(CHANGES_MAX)

    def note(self, change: Presence) -> None:
        """Take a change that concerns this watcher."""
        if self.dids and change.did not in self.dids:
            return
        if self._changes.full():
            self._changes.get_nowait()
        self._changes.put_nowait(change)

    async def next(self) -> Presence:
        """The next change."""
        return await self._changes.get()


class Attention:
    """
    What this agent watches, over all its consumers and connections.

    Args:
        link: The way to the platform.
        crew: Its background work.

    """

    def __init__(self, link: Link, crew: Crew) -> None:
        self._link = link
        self._crew = crew
        self._watchers: set[Watcher] = set()

    async def watch(self, dids: Collection[str] = ()) -> AsyncIterator[Presence]:
        """
        Follow some agents, or all.

        Changes during a loss of the connection are not told afterwards: resolve the agents that matter.

        Raises:
            RemoteProblem: If the edge refuses.
            BusError: If it does not answer.

        """
        watcher = Watcher(frozenset(dids))
        self._watchers.add(watcher)
        try:
            await self._apply()
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)

    def note(self, change: Presence) -> None:
        """Hand a change to whoever watches."""
        for watcher in self._watchers:
            watcher.note(change)

    def note_online(self) -> None:
        """A new connection knows nothing of what we watch."""
        if self._watchers:
            self._crew.start(self._renew(), "watch")

    async def close(self) -> None:
        """Stop renewing."""
        await self._crew.close()

    async def _renew(self) -> None:
        try:
            await self._apply()
        except BusError:
            # The connection is gone again; the next one calls us.
            return
        except AiconexusError as error:
            self._link.last_error = error

    async def _apply(self) -> None:
        wanted = frozenset[str]().union(*(watcher.dids for watcher in self._watchers))
        is_everybody = any(not watcher.dids for watcher in self._watchers) or len(wanted) > WATCH_MAX
        await self._link.road.watch(
            () if is_everybody else tuple(sorted(wanted)),
            lambda body: self._link.ask("edge", body, Watching),
        )
