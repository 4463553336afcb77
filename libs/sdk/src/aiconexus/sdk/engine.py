"""The running parts of an agent, put together, and how they start and stop."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Register
from aiconexus.protocol.errors import AiconexusError, BusUnavailable, TakenOver
from aiconexus.sdk.asking import Asking
from aiconexus.sdk.callees import Callees
from aiconexus.sdk.callrows import CallRows
from aiconexus.sdk.calls import Calls
from aiconexus.sdk.crew import Crew, cut_off
from aiconexus.sdk.delivery import AgentState, Post
from aiconexus.sdk.direct.door import Door
from aiconexus.sdk.direct.mail import Mail
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.discovery import Discovery
from aiconexus.sdk.handlers import Handlers
from aiconexus.sdk.holders import Holders
from aiconexus.sdk.identity import Identity
from aiconexus.sdk.inbox import Inbox
from aiconexus.sdk.incidentrows import IncidentRows
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.link import Link
from aiconexus.sdk.live import Live
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.outbox import Outbox
from aiconexus.sdk.presence import Attention
from aiconexus.sdk.receipts import Receipts
from aiconexus.sdk.reception import Reception
from aiconexus.sdk.returns import Returns
from aiconexus.sdk.road import Push, Road
from aiconexus.sdk.rows import InRows
from aiconexus.sdk.runs import Runner
from aiconexus.sdk.services import Services
from aiconexus.sdk.voice import Voice
from aiconexus.sdk.workers import Workers

FAREWELL_SECONDS = 2.0
SWEEP_SECONDS = 600.0
SLACK_MS = 3600 * 1000
"""Rows outlive their envelopes a little, for receipts that are late."""


class Engine:
    """
    Everything that runs while an agent is open; built inside the event loop.

    Args:
        identity: Whose agent.
        road: Its way to the platform.
        state: The path of the journal.
        handlers: The application's.
        notices: Where the application listens.
        register: Builds the REGISTER body for a challenge.
        post: How a handler answers.
        platform: The platform's DID, or None to trust the first one.
        grace_seconds: What running handlers get when we are stopped.
        direct: The rules of direct connections.

    """

    def __init__(
        self,
        identity: Identity,
        road: Road,
        state: str | Path,
        handlers: Handlers,
        notices: Notices,
        *,
        register: Callable[[str | None], Register],
        post: Post,
        platform: str | None,
        grace_seconds: float,
        direct: Direct,
    ) -> None:
        self.state = AgentState.OFFLINE
        self._notices = notices
        self._handlers = handlers
        self._grace_seconds = grace_seconds
        self._stopping = asyncio.Event()
        self._crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._runner: asyncio.Task[AiconexusError | None]
        self._journal = Journal(state)
        self.calls = Calls()
        reception = self._reception = Reception(identity.did, handlers, self.calls, notices, post)
        self.link = Link(
            Services(Voice(identity.key), road),
            road,
            self._journal,
            register=register,
            sink=self._push,
            on_state=self._note_state,
            on_online=self._note_online,
            on_error=notices.error,
            platform=platform,
        )
        handlers.on_new_capability = self.link.note_news
        self.discovery = Discovery(self.link)
        self.attention = Attention(self.link, self.discovery, self.crew())
        self.outbox = reception.outbox = Outbox(
            self.link,
            self._journal,
            self.discovery,
            self.crew(),
            on_receipt=notices.receipt,
            on_dead=self.calls.fail,
            on_error=notices.error,
        )
        self.mail = self.outbox.lanes.mail = reception.mail = Mail(
            identity.did,
            self.outbox,
            self.crew(),
            take=reception.take_direct,
            is_known=reception.is_known,
            on_refused=self.note_refused,
        )
        self.asking = Asking(self._journal, self.outbox, self.calls, post)
        self.holders = Holders(self.discovery, identity.did)
        reception.asked = CallRows(self._journal)
        callees = reception.callees = Callees(self._journal, self.outbox)
        self._receipts = Receipts(self.link, InRows(self._journal), self.discovery, self.crew())
        self._receipts.mail = self.mail
        self.inbox = reception.inbox = Inbox(
            self.link,
            self._journal,
            self.crew(),
            take=reception.take,
            on_acked=reception.note_acked,
            on_error=notices.error,
        )
        self._workers = reception.workers = Workers(
            self._journal,
            self.outbox,
            self._receipts,
            runner=Runner(handlers, callees, notices.error),
            callees=callees,
            returns=Returns(self.link),
            crew=self.crew(),
            on_done=reception.finish,
            on_error=notices.error,
        )
        self.live = reception.live = Live(
            self.link,
            handlers,
            self.calls,
            self.discovery,
            attention=self.attention,
            crew=self.crew(),
            post=post,
            on_error=notices.error,
        )
        self.door = self.live.door = Door(
            direct,
            self.link.services,
            handlers,
            notices,
            IncidentRows(self._journal, identity.key),
            crew=self.crew,
            signal=self.live.signal,
            codec_for=self.discovery.codec_for,
            resolve=self.discovery.resolve,
            mail=self.mail,
        )

    def start(self) -> None:
        """Begin to live."""
        self._runner = asyncio.create_task(self._run(), name=f"agent-{self.link.services.voice.did}")

    async def wait_online(self, timeout_seconds: float | None) -> None:
        """
        Wait until the platform has registered us.

        Raises:
            BusUnavailable: If that is not so in time.
            AiconexusError: If it never will be.

        """
        online = asyncio.create_task(self.link.online.wait())
        try:
            await asyncio.wait({online, self._runner}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            online.cancel()
        if self._runner.done():
            await self.wait_closed()
        elif not self.link.online.is_set():
            raise BusUnavailable((), str(self.link.last_error or "no answer from the platform"))

    async def ping(self, did: str | None, timeout_seconds: float) -> float:
        """Measure the way to another agent and back, or to the platform, in seconds."""
        if did is not None:
            return await self.live.ping(did, timeout_seconds)
        return await self.link.services.ping(self.link.road.heart or "identity", timeout_seconds)

    async def wait_closed(self) -> None:
        """
        Wait for the end.

        Raises:
            AiconexusError: If it was the platform that ended it.

        """
        error = await asyncio.shield(self._runner)
        if error is not None:
            raise error

    async def close(self) -> None:
        """Finish what runs, then end; a defect that ended us before is raised here at the latest."""
        self._stopping.set()
        await asyncio.wait({self._runner})
        await self._notices.flush()
        if not self._runner.cancelled() and (defect := self._runner.exception()) is not None:
            raise defect

    async def _run(self) -> AiconexusError | None:
        """Live until somebody stops us (None), or until the platform refuses us for good."""
        self._journal.sweep(now_ms() - SLACK_MS)
        self._workers.resume()
        self.inbox.start()
        self.outbox.resume()
        self._receipts.resume()
        link = asyncio.create_task(self.link.run(), name="link")
        others: set[asyncio.Future[None]] = {
            asyncio.create_task(self._sweep(), name="sweep"),
            self._crash,
        }
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        tasks: set[asyncio.Future[None] | asyncio.Task[AiconexusError] | asyncio.Task[bool]] = {link, stopping, *others}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if done == {stopping}:
                await self._drain()
        finally:
            await self._close(tasks)
        for task in others & done:
            task.result()
        error = link.result() if link in done else None
        self._note_state(AgentState.TAKEN_OVER if isinstance(error, TakenOver) else AgentState.CLOSED)
        return error

    async def _drain(self) -> None:
        """Let handlers end, tell their senders, acknowledge; what takes too long is for the next process."""
        self._reception.pause()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace_seconds):
                await self._workers.drain()
        if not self.link.online.is_set():
            return
        with contextlib.suppress(TimeoutError, AiconexusError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self.inbox.ack()
                await self._receipts.flush()
                self.mail.release()
                await self.outbox.flush()

    async def _close(
        self, tasks: "set[asyncio.Future[None] | asyncio.Task[AiconexusError] | asyncio.Task[bool]]"
    ) -> None:
        self._handlers.on_new_capability = lambda: None
        await self.door.close()
        for part in (self.inbox, self._workers, self.live, self.attention, self.outbox, self._receipts, self.mail):
            await part.close()
        await cut_off(tasks)
        await self.link.road.close()
        self.calls.close()
        self._journal.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._journal.sweep(now_ms() - SLACK_MS)

    def crew(self) -> Crew:
        """A crew for work that lasts as long as the agent."""
        return Crew(self._note_crash)

    def _push(self, push: Push) -> None:
        try:
            self._reception.push(push)
        except sqlite3.Error as error:
            # A road has no use for our troubles with the disk.
            self._note_crash(error)

    def _note_crash(self, error: BaseException) -> None:
        if not self._crash.done():
            self._crash.set_exception(error)

    def note_refused(self, did: str, error: Exception) -> None:
        """A peer has sent what we do not believe."""
        self.door.note_refused(did, error)
        self._notices.error(error)

    def _note_state(self, state: AgentState) -> None:
        if state is not self.state:
            self.state = state
            self._notices.state(state)

    def _note_online(self) -> None:
        self.inbox.note_online()
        self.attention.note_online()
