"""One session: one peer connection of the stack, from its offer to its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from aiconexus.bus.clock import now_ms
from aiconexus.protocol import frames, sdp
from aiconexus.protocol.direct_errors import (
    ChannelClosed,
    ConnectionFailed,
    DescriptionRefused,
    HelloRefused,
    UnexpectedSignal,
)
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.signal_bodies import Answer, IceCandidate, IceServer, Offer
from aiconexus.sdk.direct import metrics, stack
from aiconexus.sdk.direct.greeting import Greeting
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.owner import Owner
from aiconexus.sdk.direct.sockets import look_at
from aiconexus.sdk.direct.states import ICE, SESSION, IceEvent, IceState, Step, Turn, advance
from aiconexus.sdk.direct.trickle import Trickle

if TYPE_CHECKING:
    from aiortc import RTCDataChannel, RTCPeerConnection

PHASE_SECONDS = {"gathering": 7.0, "offering": 10.0, "opening": 10.0, "hello": 5.0}
"""
The longest that each phase may take; connecting has what remains of ``connect_seconds``.

The other side looks for servers and gathers while we offer.
"""

ICE_EVENTS = {event.value: event for event in IceEvent}
Value = TypeVar("Value")


class Connection:
    """
    One session with one peer. Once established it is the ``Pipe`` of mail and the ``Wire`` of channels.

    Args:
        local: Our side.
        owner: Told what happens.
        did: The peer.
        session: Its name.
        role: ``offerer`` or ``answerer``.
        servers: What the stack may use.

    """

    def __init__(
        self, local: Local, owner: Owner, *, did: str, session: str, role: str, servers: Sequence[IceServer]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.did = did
        self.session = session
        self.role = role
        self.step = Step.NEW
        self.ice_state = IceState.NEW
        self.phase = "new"
        self.road = "direct"
        self.error: AiconexusError | None = None
        self._local = local
        self._owner = owner
        self._relay_only = local.settings.policy == "relay"
        self._deadline = loop.time() + local.settings.connect_seconds
        self._offer_sdp = ""
        self._answer: asyncio.Future[Answer] = loop.create_future()
        self._up: asyncio.Future[None] = loop.create_future()
        self._open: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[AiconexusError] = loop.create_future()
        self._greeting = Greeting(local.voice, did, session, role)
        self.pc: RTCPeerConnection = stack.make_stack(servers, relay_only=self._relay_only, on_broken=self._note_broken)
        local.connections.add(self)
        metrics.note_created()
        self._trickle = Trickle(self.pc)
        self._listen()
        self._system = self._make_system()

    # The way to a connection

    async def offer(self, replaces: str | None, reason: str) -> None:
        """
        Offer, and take the answer.

        Raises:
            ConnectionFailed: If a phase took too long, or the stack cannot.
            DescriptionRefused: If the answer is not acceptable.
            RemoteProblem: If the peer is not there, or refuses.

        """
        async with self._phase("gathering"):
            self._move(Turn.DESCRIBE)
            self._offer_sdp = await self._describe()
        async with self._phase("offering"):
            self._move(Turn.OFFER_SENT)
            offer = Offer(sdp=self._offer_sdp, session=self.session, replaces=replaces, reason=reason)
            await self._local.signal(self.did, offer)
            answer = await self._until(self._answer)
            if answer.offer_hash != sdp.offer_hash(self._offer_sdp):
                raise DescriptionRefused("offer_hash_mismatch", "the answer is one to another offer")
            self._greeting.bind(ours=self._offer_sdp, theirs=answer.sdp, offer=self._offer_sdp)
            self._move(Turn.ANSWER_TAKEN)
            await self._set_remote(answer.sdp, "answer")

    async def answer(self, offer: Offer, id_: str) -> None:
        """
        Answer an offer.

        Args:
            offer: What the peer has signed.
            id_: The id of its envelope.

        Raises:
            ConnectionFailed: If a phase took too long, or the stack cannot.
            DescriptionRefused: If the offer is not acceptable.
            RemoteProblem: If the peer has gone.

        """
        async with self._phase("gathering"):
            self._move(Turn.DESCRIBE)
            sdp.read_description(offer.sdp)
            await self._set_remote(offer.sdp, "offer")
            ours = await self._describe()
            self._greeting.bind(ours=ours, theirs=offer.sdp, offer=offer.sdp)
        async with self._phase("offering"):
            self._move(Turn.ANSWER_SENT)
            digest = sdp.offer_hash(offer.sdp)
            answer = Answer(sdp=ours, session=self.session, offer_hash=digest)
            await self._local.signal(self.did, answer, in_reply_to=id_)

    async def wait_up(self, seconds: float | None = None) -> bool:
        """
        Wait until ICE and DTLS are through.

        Returns:
            Whether that came about in time.

        Raises:
            ConnectionFailed: If it never will.

        """
        async with self._phase("connecting"):
            return await self._happens(self._up, seconds)

    async def greet(self) -> None:
        """
        Prove to the peer who we are, and have it prove who it is.

        Raises:
            ConnectionFailed: If the channel does not open.
            HelloRefused: If the peer does not prove itself.

        """
        self._move(Turn.TRANSPORT_UP)
        async with self._phase("opening"):
            await self._until(self._open)
        self._move(Turn.CHANNEL_OPEN)
        async with self._phase("hello"):
            self._send(self._greeting.say(await self._local.codec_for(self.did)))
            self._greeting.hear_early(now_ms())
            await self._until(self._greeting.verified)
        self._move(Turn.HELLO_VERIFIED)
        self.phase = "open"
        self.road = "turn" if self.is_relayed else "direct"

    @property
    def is_relayed(self) -> bool:
        """Whether what ICE has chosen leads through a TURN server."""
        pair = stack.pair_of(self.pc)
        return pair is not None and stack.is_relayed(pair)

    def take_answer(self, answer: Answer) -> None:
        """
        Take the answer to our offer; whoever waits for it checks it.

        Raises:
            UnexpectedSignal: If none is awaited.

        """
        if self.step is not Step.OFFERED or self._answer.done():
            raise UnexpectedSignal(self.step, answer.TYPE)
        self._answer.set_result(answer)

    async def take_candidates(self, body: IceCandidate) -> None:
        """
        Take trickled candidates, before or after the description that they belong to.

        Raises:
            DescriptionRefused: If there are too many, or one is none.

        """
        await self._trickle.take(body)

    # What it carries

    @property
    def is_open(self) -> bool:
        """Whether it takes frames: both HELLOs are verified, and nothing has ended it."""
        return self.step is Step.ESTABLISHED and self._system.readyState == "open"

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait in the system channel."""
        return int(self._system.bufferedAmount)

    def send(self, frame: bytes | str) -> None:
        """
        Send a frame of the system channel.

        Raises:
            ChannelClosed: If the connection is over, or the other side is not verified yet.

        """
        if not self.is_open:
            raise ChannelClosed(frames.LABEL, "the connection is over")
        self._send(frame)

    def flush(self) -> None:
        """Hand over what came between the other side's HELLO and our taking note of it."""
        for data in self._greeting.waiting():
            self._owner.note_frame(self, data)

    # Its end

    def end(self, error: AiconexusError) -> None:
        """Let it be over; whoever waits for something gets the error."""
        if self._ended.done():
            return
        was_established = self.step is Step.ESTABLISHED
        self.error = error
        self._ended.set_result(error)
        self._move(Turn.END)
        if was_established:
            self._owner.note_lost(self)

    async def close(self) -> None:
        """Close the stack's part, and wait until nothing of it is left."""
        self.end(ChannelClosed(frames.LABEL, "closed"))
        closing = asyncio.ensure_future(self.pc.close())
        closing.add_done_callback(look_at)
        await asyncio.wait({closing})
        self._local.connections.discard(self)
        self.note_pulse(IceEvent.CLOSED)

    def note_pulse(self, event: IceEvent) -> None:
        """ICE stands elsewhere: the stack says so, or the heartbeat."""
        after = ICE[self.ice_state].get(event)
        if after is not None:
            self.ice_state = after
            self._owner.note_ice(self)

    # Inside

    def _listen(self) -> None:
        self.pc.on("connectionstatechange", self._note_transport)
        self.pc.on("iceconnectionstatechange", self._note_ice)
        self.pc.on("datachannel", self._note_raw)
        self.pc.on("error", self._local.on_defect)

    def _make_system(self) -> "RTCDataChannel":
        channel = self.pc.createDataChannel(
            frames.LABEL, protocol=frames.PROTOCOL, negotiated=True, id=frames.CHANNEL_ID, ordered=True
        )
        channel.on("open", self._note_open)
        channel.on("message", self._note_message)
        channel.on("close", self._note_system_closed)
        channel.on("error", self._local.on_defect)
        return channel

    async def _describe(self) -> str:
        """Gather, and write our description as it may leave us."""
        text = await stack.set_local(self.pc)
        if self._relay_only:
            text = sdp.only_relayed(text)
        text = sdp.shortened(text)
        if not sdp.read_description(text).candidates:
            raise ConnectionFailed(self.did, "gathering", "there is no candidate to offer")
        return text

    async def _set_remote(self, text: str, kind: str) -> None:
        """Hand a description that was checked to the stack."""
        await stack.set_remote(self.pc, text, kind)
        await self._trickle.note_described()

    async def _until(self, event: "asyncio.Future[Value]") -> Value:
        await self._happens(event, None)
        return event.result()

    async def _happens(self, event: "asyncio.Future[Any]", seconds: float | None) -> bool:
        """Whether something comes about in time; raises why it never will."""
        both: set[asyncio.Future[Any]] = {event, self._ended}
        done, _ = await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            raise self._ended.result()
        return bool(done)

    @asynccontextmanager
    async def _phase(self, name: str) -> AsyncIterator[None]:
        """Do one phase in its time, and name it where it fails."""
        self.phase = name
        began = asyncio.get_running_loop().time()
        end = min(self._deadline, began + PHASE_SECONDS.get(name, self._deadline))
        try:
            async with asyncio.timeout_at(end):
                yield
        except TimeoutError as error:
            if name == "hello":
                raise HelloRefused(self.did, "hello_missing", "no HELLO came in time") from error
            raise ConnectionFailed(self.did, name, f"not done after {end - began:.1f} s") from error
        except stack.STACK_ERRORS as error:
            raise ConnectionFailed(self.did, name, f"{type(error).__name__}: {error}") from error

    def _move(self, turn: Turn) -> None:
        if self._ended.done() and turn is not Turn.END:
            raise self._ended.result()
        self.step = advance(SESSION, self.step, turn)

    def _send(self, frame: bytes | str) -> None:
        try:
            self._system.send(frame)
        except stack.STACK_ERRORS as error:
            raise ChannelClosed(frames.LABEL, str(error)) from error

    # What the stack tells

    def _note_transport(self) -> None:
        match self.pc.connectionState:
            case "connected" if not self._up.done():
                self._up.set_result(None)
            case "failed" | "closed" as state:
                self._note_broken(f"the stack says {state}")

    def _note_ice(self) -> None:
        event = ICE_EVENTS.get(self.pc.iceConnectionState)
        if event is not None:
            self.note_pulse(event)

    def _note_broken(self, reason: str) -> None:
        self.end(ConnectionFailed(self.did, self.phase, reason))

    def _note_open(self) -> None:
        if not self._open.done():
            self._open.set_result(None)

    def _note_system_closed(self) -> None:
        self._note_broken("the system channel is closed")

    def _note_raw(self, raw: "RTCDataChannel") -> None:
        if self.step is Step.ESTABLISHED:
            self._owner.note_raw(self, raw)
        else:
            # Nobody opens a channel without having heard our AGREED, which comes after our HELLO.
            self.end(HelloRefused(self.did, "hello_missing", "it opened a channel before its HELLO"))

    def _note_message(self, data: bytes | str) -> None:
        if self.step is Step.ESTABLISHED:
            self._owner.note_frame(self, data)
            return
        try:
            self._greeting.hear(data, now_ms(), said=self.step is Step.GREETING)
        except HelloRefused as error:
            self.end(error)
