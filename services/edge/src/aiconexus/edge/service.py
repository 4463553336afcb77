"""The edge, put together: the only place that knows all of its parts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic

from aiohttp import web

from aiconexus.edge.application import application
from aiconexus.edge.audit import Audit
from aiconexus.edge.descriptors import allow
from aiconexus.edge.doorman import Doorman
from aiconexus.edge.lease import Lease
from aiconexus.edge.listing import Listing
from aiconexus.edge.platform import Platform
from aiconexus.edge.pushes import Pushes
from aiconexus.edge.replies import Replies
from aiconexus.edge.roster import Roster, beat, is_forgotten
from aiconexus.edge.routing import Names
from aiconexus.edge.sessions import Farewells
from aiconexus.edge.settings import EdgeSettings
from aiconexus.edge.switchboard import Switchboard
from aiconexus.edge.watchers import Watchers
from aiconexus.edge.websocket import WebSockets
from aiconexus.protocol.closing import Close
from aiconexus.protocol.errors import AiconexusError, SettingsError
from aiconexus.protocol.records import EDGE_RENEWAL_SECONDS
from aiconexus.protocol.replay import ReplayWindow
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk
from aiconexus.runtime.refusals import Refusals

BEAT_SECONDS = 1.0
EXPIRY_SECONDS = 0.5
PLATFORM_SECONDS = 5.0
BACKLOG = 1024
RETRY_SECONDS = 0.3


@asynccontextmanager
async def serve(context: Context[EdgeSettings]) -> AsyncIterator[None]:
    """Let agents in for as long as the context is entered."""
    allow(context.settings.max_connections)
    edge = _Edge(context)
    async with asyncio.TaskGroup() as tasks:
        await edge.prepare()
        running = [tasks.create_task(work) for work in edge.chores()]
        async with Desk(context):
            await edge.listen()
            yield
            await edge.close()
        for task in running:
            task.cancel()
    await edge.leave()


class _Edge:
    def __init__(self, context: Context[EdgeSettings]) -> None:
        settings, session = context.settings, context.session
        names = Names(context.directory.services)
        replay = ReplayWindow(senders_max=settings.max_connections * 4)
        self._context = context
        self._roster = Roster(settings.max_connections)
        self._platform = Platform(session, names, monotonic)
        self._audit = Audit(context)
        self._farewells = Farewells(context)
        self._watchers = Watchers(session, self._roster, self._audit)
        self._replies = Replies(session, settings.request_timeout_seconds, monotonic)
        doorman = Doorman(context, names, self._platform, replay, Pushes(names, self._audit).of)
        switchboard = Switchboard(
            session,
            context.voice,
            names,
            replay,
            replies=self._replies,
            doorman=doorman,
            watchers=self._watchers,
            farewells=self._farewells,
            refusals=Refusals(context.service, context.log),
        )
        sockets = WebSockets(
            settings,
            context.instance,
            context.log,
            platform=self._platform,
            roster=self._roster,
            doorman=doorman,
            switchboard=switchboard,
            watchers=self._watchers,
            farewells=self._farewells,
            audit=self._audit,
            clock=monotonic,
        )
        app = application(sockets, Listing(context, names), context.health, settings.cors_origins)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=settings.connection_timeout_seconds,
            shutdown_timeout=settings.close_seconds,
        )
        self._lease = Lease(session, context.instance)
        self._reconnects = session.reconnects

    async def prepare(self) -> None:
        """Wait for the bus to know us, and for identity to say who we all are."""
        context = self._context
        await _until_done(self._lease.write)
        await self._replies.open()
        await self._watchers.open()
        context.health.add_check("identity", self._platform.check)
        await _until_done(self._platform.refresh)

    def chores(self) -> list[Coroutine[None, None, None]]:
        """What is done again and again."""
        settings = self._context.settings
        return [
            self._farewells.tell(),
            self._audit.run(),
            _every(min(BEAT_SECONDS, settings.pong_seconds / 4), self._beat),
            _every(EXPIRY_SECONDS, self._expire),
            _every(settings.cleanup_seconds, self._clean_up),
            _every(PLATFORM_SECONDS, self._platform.refresh_if_possible),
            _every(EDGE_RENEWAL_SECONDS, self._lease.renew),
        ]

    async def listen(self) -> None:
        """
        Take connections.

        Raises:
            SettingsError: If the address cannot be used.

        """
        settings = self._context.settings
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, settings.host, settings.port, backlog=BACKLOG).start()
        except OSError as error:
            raise SettingsError([f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"]) from error
        self._context.ports.announce("http", self._runner.addresses[0][1])

    async def close(self) -> None:
        """Take no more connections, and send everybody elsewhere."""
        self._roster.is_open = False
        for site in self._runner.sites:
            await site.stop()
        for connection in self._roster:
            connection.end(Close.GOING_AWAY)
        await self._roster.emptied(self._context.settings.close_seconds * 2)
        await self._runner.cleanup()
        await self._farewells.drain(self._context.settings.drain_seconds / 2)

    async def leave(self) -> None:
        """Say that this edge is gone."""
        await self._replies.close()
        await self._watchers.close()
        await self._lease.give_up()

    async def _beat(self) -> None:
        now = monotonic()
        for connection in self._roster:
            beat(connection, now)
        if self._context.session.reconnects != self._reconnects and self._context.session.is_connected:
            # While we were away we may have been given up for lost, and nobody could tell us.
            self._reconnects = self._context.session.reconnects
            await self._lease.renew()
            self._doubt_all()

    async def _expire(self) -> None:
        self._replies.expire()

    async def _clean_up(self) -> None:
        now = monotonic()
        for connection in self._roster:
            if is_forgotten(connection, now):
                connection.end(Close.SILENT)
        self._doubt_all()

    def _doubt_all(self) -> None:
        for connection in self._roster.registered:
            self._audit.doubt(connection)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await work()


async def _until_done(work: Callable[[], Awaitable[None]]) -> None:
    """Try until it works: whoever starts the services starts them all at once."""
    while True:
        try:
            await work()
        except AiconexusError:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
