"""Who comes and goes, as identity tells it."""

import asyncio
from collections.abc import AsyncIterator, Collection

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import AgentCard, Presence, Watching
from aiconexus.protocol.errors import AiconexusError, BusError
from aiconexus.protocol.limits import WATCH_MAX
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.discovery import Discovery
from aiconexus.sdk.link import Link

CHANGES_MAX = 1024


class Watcher:
    """One consumer of presence; a slow one loses the oldest changes."""

    def __init__(self, dids: frozenset[str]) -> None:
        self.dids = dids
        self._known: dict[str, bool] = {}
        self._changes: asyncio.Queue[Presence] = asyncio.Queue(CHANGES_MAX)

    def note(self, change: Presence) -> None:
        """Take a change that concerns this watcher."""
        if self.dids and change.did not in self.dids:
            return
        if self.dids:
            self._known[change.did] = change.online
        if self._changes.full():
            self._changes.get_nowait()
        self._changes.put_nowait(change)

    def note_card(self, did: str, card: AgentCard | None) -> None:
        """Compare what we were told with what the registry says."""
        is_online = card is not None and card.online
        if did in self.dids and self._known.get(did) is not is_online:
            since_ms, road = (card.since_ms, card.road) if card is not None else (None, None)
            self.note(Presence(did=did, online=is_online, at_ms=since_ms or now_ms(), road=road))

    async def next(self) -> Presence:
        """The next change."""
        return await self._changes.get()


class Attention:
    """
    What this agent watches, over all its consumers and connections.

    Args:
        link: The way to the platform.
        discovery: Says who is there now.
        crew: Its background work.

    """

    def __init__(self, link: Link, discovery: Discovery, crew: Crew) -> None:
        self._link = link
        self._discovery = discovery
        self._crew = crew
        self._watchers: set[Watcher] = set()
        self._news: set[str] = set()

    async def watch(self, dids: Collection[str] = ()) -> AsyncIterator[Presence]:
        """
        Follow some agents, or all.

        Of some, the present state comes first, and after a loss of the connection what changed meanwhile. Of all,
        only changes are told, and none that happened during a loss.

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
        self._news.add(change.did)
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
            lambda body: self._link.services.ask("edge", body, Watching),
        )
        self._news.clear()
        cards = await self._discovery.resolve(sorted(wanted))
        # What identity told while we asked is newer than the answer.
        for did in wanted - self._news:
            for watcher in self._watchers:
                watcher.note_card(did, cards.get(did))
