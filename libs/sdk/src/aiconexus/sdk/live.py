"""What nobody stores: signals between agents, PING and PONG, and the platform's own news."""

import asyncio
from collections import deque
from collections.abc import Callable

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body, Ping, Pong, Presence, Revoked, Takeover
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import (
    AiconexusError,
    EnvelopeError,
    ForeignSender,
    IdentityError,
    KeyRevoked,
    UnsupportedType,
)
from aiconexus.protocol.replay import ReplayWindow
from aiconexus.protocol.seal import Letter, Sealed, unseal
from aiconexus.protocol.vocabulary import LIVE_TYPES
from aiconexus.sdk.calls import Calls
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.delivery import Delivery, Post
from aiconexus.sdk.direct.door import Door
from aiconexus.sdk.discovery import Discovery
from aiconexus.sdk.handlers import Handlers, invoke
from aiconexus.sdk.link import Link
from aiconexus.sdk.presence import Attention

WAITING_MAX = 256
"""Signals of one sender that wait for its handler; more are dropped, they are worthless soon anyway."""
SENDERS_MAX = 1024
PONGS_MAX = 64


class Live:
    """
    The live traffic of one agent.

    Args:
        link: The way to others.
        handlers: The application's.
        calls: Who waits for a PONG.
        discovery: Knows what recipients can read.
        attention: Gets presence.
        crew: Its background work.
        post: How a handler answers.
        on_error: Told what handlers raise and what was not acceptable.

    """

    def __init__(
        self,
        link: Link,
        handlers: Handlers,
        calls: Calls,
        discovery: Discovery,
        *,
        attention: Attention,
        crew: Crew,
        post: Post,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._link = link
        self._handlers = handlers
        self._calls = calls
        self._discovery = discovery
        self._attention = attention
        self._crew = crew
        self._post = post
        self._on_error = on_error
        self._replay = ReplayWindow(senders_max=1024, ids_max=1024)
        self._lanes: dict[str, deque[Delivery]] = {}
        self._pongs = 0
        self.door: Door | None = None
        """Where signals go that are meant to connect us directly; set by the engine."""

    async def signal(self, did: str, body: Body, *, in_reply_to: str | None = None, id_: str | None = None) -> str:
        """
        Hand a live envelope to an agent that is connected now.

        Returns:
            Its id.

        Raises:
            UnsupportedType: If this type is not for that.
            RemoteProblem: If the agent is not there or refuses.
            BusError: If no answer came.

        """
        if body.TYPE not in LIVE_TYPES:
            raise UnsupportedType(body.TYPE)
        codec = await self._discovery.codec_for(did)
        spoken = self._link.services.voice.say(body, did, codec, in_reply_to=in_reply_to, id_=id_)
        await self._link.services.forward(spoken)
        return spoken.id

    async def ping(self, did: str, timeout_seconds: float) -> float:
        """
        Measure the way to another agent and back.

        Raises:
            RemoteProblem: If it is not there.
            NotAcknowledged: If it does not answer in time.

        """
        loop = asyncio.get_running_loop()
        id_, began = new_id(), loop.time()
        answer = self._calls.expect(id_, did)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.signal(did, Ping(sequence=1), id_=id_)
                await answer
        except TimeoutError as error:
            raise NotAcknowledged(id_, timeout_seconds) from error
        finally:
            self._calls.give_up(id_, answer)
        return loop.time() - began

    def push(self, sealed: Sealed) -> None:
        """Take something that arrived unasked; nothing of it was verified."""
        try:
            letter = self._believe(sealed)
            body = letter.body
        except (EnvelopeError, IdentityError) as error:
            if self.door is not None:
                self.door.note_forged(sealed, error)
            self._on_error(error)
            return
        if letter.envelope.sender in self._link.road.trusted:
            self._hear_platform(letter, body)
        else:
            self._hear_agent(letter, body)

    async def close(self) -> None:
        """Cut off what still runs."""
        await self._crew.close()

    def _believe(self, sealed: Sealed) -> Letter:
        letter = unseal(sealed)
        envelope, now = letter.envelope, now_ms()
        if envelope.recipient not in (None, self._link.services.voice.did):
            raise ForeignSender(envelope.sender, self._link.services.voice.did)
        check_fresh(envelope, now)
        self._replay.admit(envelope.sender, envelope.id, now)
        return letter

    def _hear_platform(self, letter: Letter, body: Body) -> None:
        is_identity = letter.envelope.sender == self._link.platform
        match body:
            case Takeover() if is_identity:
                self._link.note_takeover(body.session)
            case Revoked() if is_identity and body.did == self._link.services.voice.did:
                self._link.end(KeyRevoked(body.did))
            case Presence() if is_identity:
                self._attention.note(body)

    def _hear_agent(self, letter: Letter, body: Body) -> None:
        delivery = Delivery(letter.envelope, body, self._post)
        if body.TYPE not in LIVE_TYPES or self._calls.take(delivery):
            return
        if isinstance(body, Ping):
            if self._pongs < PONGS_MAX:
                self._pongs += 1
                self._crew.start(self._pong(delivery, body), "pong")
        elif not isinstance(body, Pong) and (self.door is None or not self.door.take(delivery)):
            self._queue(delivery)

    async def _pong(self, delivery: Delivery, body: Ping) -> None:
        try:
            await self.signal(delivery.sender, Pong(sequence=body.sequence), in_reply_to=delivery.id)
        except AiconexusError as error:
            self._on_error(error)
        finally:
            self._pongs -= 1

    def _queue(self, delivery: Delivery) -> None:
        lane = self._lanes.get(delivery.sender)
        if lane is not None:
            if len(lane) < WAITING_MAX:
                lane.append(delivery)
        elif len(self._lanes) < SENDERS_MAX:
            self._lanes[delivery.sender] = deque([delivery])
            self._crew.start(self._drive(delivery.sender), f"live-{delivery.sender}")

    async def _drive(self, sender: str) -> None:
        lane = self._lanes[sender]
        while lane:
            handler = self._handlers.find(lane[0].type)
            if handler is not None:
                task = invoke(handler.function, lane[0])
                await asyncio.wait({task})
                error = None if task.cancelled() else task.exception()
                if isinstance(error, Exception):
                    self._on_error(error)
            lane.popleft()
        del self._lanes[sender]
