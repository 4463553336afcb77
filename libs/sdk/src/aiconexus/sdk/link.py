"""The agent's connection: it comes back after every loss."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import PlatformInfo, Register, Registered
from aiconexus.protocol.errors import (
    AiconexusError,
    BusError,
    ForeignSender,
    MalformedEnvelope,
    Refused,
    RemoteProblem,
    TakenOver,
)
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import unseal
from aiconexus.sdk.crew import cut_off
from aiconexus.sdk.delivery import AgentState
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.retrying import may_connect_later, retrying
from aiconexus.sdk.road import Greeting, Lost, Road, Sink
from aiconexus.sdk.services import Services

HEARTBEAT_MAX_SECONDS = 60.0
SETTLE_SECONDS = 0.25
"""The longest random pause after a loss, so that agents do not come back in one moment."""

RENEWALS = 3
"""How often a registration is renewed before it would expire."""
RENEWAL_MIN_SECONDS = 5.0


class Link:
    """
    One agent's line to the platform.

    Args:
        services: Whom to ask; they become known with every connection.
        road: Carries.
        journal: Remembers who the platform is.
        register: Builds the REGISTER body for a challenge.
        sink: Takes what is pushed.
        on_state: Told of every change.
        on_online: Called after each registration.
        on_error: Told of every failed attempt to connect.
        platform: The platform's DID, or None to trust the first one.

    """

    def __init__(
        self,
        services: Services,
        road: Road,
        journal: Journal,
        *,
        register: Callable[[str | None], Register],
        sink: Sink,
        on_state: Callable[[AgentState], None],
        on_online: Callable[[], None],
        on_error: Callable[[Exception], None],
        platform: str | None = None,
    ) -> None:
        self.services = services
        self.road = road
        self.platform = platform or journal.fact("platform")
        self.session = ""
        self.online = asyncio.Event()
        self.last_error: BaseException | None = None
        self._journal = journal
        self._register = register
        self._sink = sink
        self._on_state = on_state
        self._on_online = on_online
        self._on_error = on_error
        self._registering = False
        self._has_news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._takeovers: list[str] = []
        self._registered: Registered | None = None
        self._ended: asyncio.Future[Lost] = asyncio.get_running_loop().create_future()

    async def run(self) -> AiconexusError:
        """
        Be connected until that is pointless.

        Returns:
            Why it is.

        """
        while True:
            self._on_state(AgentState.CONNECTING)
            try:
                await self._come_online()
            except AiconexusError as error:
                await self.road.close()
                return _named(error)
            lost = await self._stay_online()
            self.online.clear()
            await self.road.close()
            if lost.final:
                return lost.error
            self.last_error = lost.error
            self._on_state(AgentState.OFFLINE)
            await asyncio.sleep(random.random() * SETTLE_SECONDS)  # noqa: S311 - spreads load, keeps no secret

    def end(self, error: AiconexusError) -> None:
        """Give up for good, and say why."""
        if not self._ended.done():
            self._ended.set_result(Lost(error, final=True))

    def note_news(self) -> None:
        """What the agent says of itself has changed; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._has_news.set)

    def note_takeover(self, session: str) -> None:
        """Identity says which of the agent's sessions is the live one."""
        if self._registering:
            # It may be the session that is just becoming ours.
            self._takeovers.append(session)
        elif session != self.session:
            self.end(TakenOver(session))

    async def _come_online(self) -> None:
        async for attempt in retrying(may_connect_later, note=self._note_failure):
            with attempt:
                if self._ended.done():
                    raise self._ended.result().error
                await self.road.close()
                await self._enrol(await self.road.connect(self._sink))
        self.last_error = None
        self.online.set()
        self._on_state(AgentState.ONLINE)
        self._on_online()

    async def _enrol(self, greeting: Greeting) -> None:
        self._meet(greeting)
        self._registering, self._takeovers = True, []
        self._has_news.clear()
        try:
            self._registered = await self.services.ask("identity", self._register(greeting.nonce), Registered)
        finally:
            self._registering = False
        self.session = self._registered.session
        if self.session in self._takeovers and self._takeovers[-1] != self.session:
            self.end(TakenOver(self._takeovers[-1]))

    def _note_failure(self, error: BaseException) -> None:
        self.last_error = error
        if isinstance(error, Exception):
            self._on_error(error)

    def _meet(self, greeting: Greeting) -> None:
        """Believe a platform that names itself and, from the second time on, is the one we know."""
        letter = unseal(greeting.platform, REPLY_MAX_BYTES)
        info, platform = letter.body, letter.envelope.sender
        if not isinstance(info, PlatformInfo) or info.services.get("identity") != platform:
            raise MalformedEnvelope("what answers does not name itself as a platform")
        if self.platform is not None and platform != self.platform:
            raise Refused(f"the platform here is {platform}, we trust {self.platform}")
        if greeting.challenger is not None and greeting.challenger != info.services.get("edge"):
            raise ForeignSender(greeting.challenger, info.services.get("edge", "nobody"))
        if self._journal.fact("platform") != platform:
            self._journal.remember("platform", platform)
        self.platform = platform
        self.services.meet(info)

    async def _stay_online(self) -> Lost:
        tasks: set[asyncio.Future[Lost]] = {
            asyncio.create_task(self.road.wait_lost(), name="link-lost"),
            asyncio.create_task(self._beat(), name="link-heartbeat"),
            asyncio.create_task(self._renew(), name="link-renewal"),
        }
        try:
            done, _ = await asyncio.wait({self._ended, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cut_off(tasks)
        ends = [task.result() for task in done]
        return next((end for end in ends if end.final), ends[0])

    async def _renew(self) -> Lost:
        """Register again before the registration expires, and when there is news."""
        while True:
            expires_ms = self._registered.expires_ms if self._registered is not None else 0
            seconds = max((expires_ms - now_ms()) / 1000 / RENEWALS, RENEWAL_MIN_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds * random.uniform(0.7, 1.0)):  # noqa: S311 - spreads load, keeps no secret
                    await self._has_news.wait()
            has_news = self._has_news.is_set()
            self._has_news.clear()
            try:
                self._registered = await self.services.ask("identity", self._register(None), Registered)
            except BusError:
                if has_news:
                    self._loop.call_later(RENEWAL_MIN_SECONDS, self._has_news.set)
            except AiconexusError as error:
                return Lost(_named(error), final=not may_connect_later(error))

    async def _beat(self) -> Lost:
        """Notice a connection that died without a word."""
        heart, registered = self.road.heart, self._registered
        if heart is None or registered is None or registered.heartbeat_seconds <= 0:
            await asyncio.Event().wait()
            raise AssertionError
        pause = min(registered.heartbeat_seconds, HEARTBEAT_MAX_SECONDS)
        while True:
            await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 - spreads load, keeps no secret
            try:
                await self.services.ping(heart, timeout_seconds=max(pause, 1.0))
            except BusError as error:
                return Lost(error)


def _named(error: AiconexusError) -> AiconexusError:
    """The same refusal, as the error that an application can catch."""
    match error:
        case RemoteProblem(error=report) if report.problem == "taken_over":
            return TakenOver(report.message)
        case _:
            return error
