"""One session: one peer connection of the stack, from its offer to its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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
from aiconexus.protocol.limits import CANDIDATES_MAX
from aiconexus.protocol.signal_bodies import Answer, Candidate, IceCandidate, IceServer, Offer
from aiconexus.sdk.direct import stack
from aiconexus.sdk.direct.hello import Bond, check_hello, frame_of, hello_of
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.states import ICE, SESSION, IceEvent, IceState, Step, Turn, advance

if TYPE_CHECKING:
    from aiortc import RTCDataChannel, RTCPeerConnection

PHASE_SECONDS = {"gathering": 7.0, "offering": 12.0, "opening": 10.0, "hello": 5.0}
"""The longest that each phase may take; connecting has what remains of ``connect_seconds``."""
CLOSE_SECONDS = 3.0
"""The stack was seen to take 22 seconds to close a connection through a dead TURN server."""
TRICKLED_MAX = 2 * CANDIDATES_MAX
WAITING_MAX = 256

Value = TypeVar("Value")


class Owner(Protocol):
    """Who is told of a connection's life."""

    def note_ice(self, connection: "Connection") -> None:
        """ICE stands elsewhere now."""

    def note_frame(self, connection: "Connection", data: bytes | str) -> None:
        """The other side, who was verified, said something."""

    def note_raw(self, connection: "Connection", raw: "RTCDataChannel") -> None:
        """The other side, who was verified, opened a data channel."""

    def note_lost(self, connection: "Connection") -> None:
        """An established connection is over; ``error`` says why."""


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
        self._local = local
        self._owner = owner
        self.did = did
        self.session = session
        self.role = role
        self.step = Step.NEW
        self.ice_state = IceState.NEW
        self.phase = "new"
        self.road = "direct"
        self.error: AiconexusError | None = None
        self.established_at = 0.0
        self._relay_only = local.settings.policy == "relay"
        self.pc: RTCPeerConnection = stack.make_stack(servers, relay_only=self._relay_only, on_broken=self._note_broken)
        self._offer_sdp = ""
        self._bond: Bond | None = None
        self._answer: asyncio.Future[Answer] = loop.create_future()
        self._up: asyncio.Future[None] = loop.create_future()
        self._open: asyncio.Future[None] = loop.create_future()
        self._verified: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[AiconexusError] = loop.create_future()
        self._early: list[Candidate] = []
        self._candidates = 0
        self._waiting: list[bytes | str] = []
        self._described = False
        self._greeting: bytes | str | None = None
        self._deadline = loop.time() + local.settings.connect_seconds
        self.pc.on("connectionstatechange", self._note_transport)
        self.pc.on("iceconnectionstatechange", self._note_ice)
        self.pc.on("datachannel", self._note_raw)
        self.pc.on("error", local.on_defect)
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
            self._offer_sdp = await self._describe("offer")
        async with self._phase("offering"):
            self._move(Turn.OFFER_SENT)
            offer = Offer(sdp=self._offer_sdp, session=self.session, replaces=replaces, reason=reason)
            await self._local.signal(self.did, offer)
            answer = await self._until(self._answer)
            self._check_answer(answer)
            await self._set_remote(answer.sdp, "answer")

    async def answer(self, offer: Offer) -> None:
        """
        Answer an offer.

        Raises:
            ConnectionFailed: If a phase took too long, or the stack cannot.
            DescriptionRefused: If the offer is not acceptable.
            RemoteProblem: If the peer has gone.

        """
        async with self._phase("gathering"):
            self._move(Turn.DESCRIBE)
            self._offer_sdp = offer.sdp
            await self._set_remote(offer.sdp, "offer")
            ours = await self._describe("answer")
        async with self._phase("offering"):
            self._move(Turn.ANSWER_SENT)
            digest = sdp.offer_hash(offer.sdp)
            await self._local.signal(self.did, Answer(sdp=ours, session=self.session, offer_hash=digest))

    async def wait_up(self, seconds: float | None = None) -> bool:
        """
        Wait until ICE and DTLS are through.

        Returns:
            Whether that came about in time.

        """
        async with self._phase("connecting"):
            if not await self._happens(self._up, seconds):
                return False
        return True

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
            codec = await self._local.codec_for(self.did)
            spoken = self._local.voice.say(hello_of(self._known_bond), self.did, codec)
            self._send(frame_of(spoken.sealed))
            if self._greeting is not None:
                self._hear_hello(self._greeting)
            await self._until(self._verified)
        self._move(Turn.HELLO_VERIFIED)
        pair = stack.pair_of(self.pc)
        self.road = "turn" if pair is not None and stack.is_relayed(pair) else "direct"
        self.established_at = asyncio.get_running_loop().time()

    # What comes through signaling

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
        first = Candidate(candidate=body.candidate, sdp_mid=body.sdp_mid, sdp_mline_index=body.sdp_mline_index)
        self._candidates += 1 + len(body.more)
        if self._candidates > TRICKLED_MAX:
            raise DescriptionRefused("offer_refused", f"more than {TRICKLED_MAX} candidates")
        self._early += (first, *body.more)
        if self._described:
            await self._add_candidates()

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
        waiting, self._waiting = self._waiting, []
        for data in waiting:
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
        """Close the stack's part, and do not wait for ever; the rest happens behind."""
        self.end(ChannelClosed(frames.LABEL, "closed"))
        closing = asyncio.ensure_future(self.pc.close())
        closing.add_done_callback(_look)
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        self._set_ice(IceEvent.CLOSED)

    # Inside

    @property
    def _known_bond(self) -> Bond:
        if self._bond is None:
            raise UnexpectedSignal(self.step, "HELLO")
        return self._bond

    def _make_system(self) -> "RTCDataChannel":
        channel = self.pc.createDataChannel(
            frames.LABEL, protocol=frames.PROTOCOL, negotiated=True, id=frames.CHANNEL_ID, ordered=True
        )
        channel.on("open", self._note_open)
        channel.on("message", self._note_message)
        channel.on("close", self._note_system_closed)
        channel.on("error", self._local.on_defect)
        return channel

    async def _describe(self, kind: str) -> str:
        """Gather, and write our description as it may leave us."""
        await self.pc.setLocalDescription()
        ours = self.pc.localDescription.sdp
        text = sdp.only_relayed(ours) if self._relay_only else ours
        description = sdp.read_description(text)
        if not description.candidates:
            raise ConnectionFailed(self.did, "gathering", "there is no candidate to offer")
        if kind == "answer":
            self._bind(ours=text)
        return text

    async def _set_remote(self, text: str, kind: str) -> None:
        sdp.read_description(text)
        await self.pc.setRemoteDescription(stack.description_of(text, kind))
        self._described = True
        if kind == "answer":
            self._bind(theirs=text)
        await self._add_candidates()

    def _bind(self, *, ours: str | None = None, theirs: str | None = None) -> None:
        self._bond = Bond(
            us=self._local.did,
            them=self.did,
            session=self.session,
            role=self.role,
            ours=sdp.read_description(ours or self._offer_sdp),
            theirs=sdp.read_description(theirs or self._offer_sdp),
            offer_hash=sdp.offer_hash(self._offer_sdp),
        )

    def _check_answer(self, answer: Answer) -> None:
        if answer.offer_hash != sdp.offer_hash(self._offer_sdp):
            raise DescriptionRefused("offer_hash_mismatch", "the answer is one to another offer")
        sdp.read_description(answer.sdp)
        self._move(Turn.ANSWER_TAKEN)

    async def _add_candidates(self) -> None:
        waiting, self._early = self._early, []
        for candidate in waiting:
            await self.pc.addIceCandidate(stack.candidate_of(candidate))

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
        event = {
            "checking": IceEvent.CHECKING,
            "completed": IceEvent.COMPLETED,
            "failed": IceEvent.FAILED,
            "closed": IceEvent.CLOSED,
        }.get(self.pc.iceConnectionState)
        if event is not None:
            self._set_ice(event)

    def note_pulse(self, event: IceEvent) -> None:
        """The heartbeat has stopped, or is back."""
        self._set_ice(event)

    def _set_ice(self, event: IceEvent) -> None:
        after = ICE[self.ice_state].get(event)
        if after is not None:
            self.ice_state = after
            self._owner.note_ice(self)

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
        elif self._verified.done():
            self._keep_waiting(data)
        elif self.step is Step.GREETING:
            self._hear_hello(data)
        elif self._greeting is None:
            self._greeting = data
        else:
            self.end(HelloRefused(self.did, "hello_missing", "it does not wait for our HELLO"))

    def _keep_waiting(self, data: bytes | str) -> None:
        """What follows the HELLO at once waits for the next turn of the loop."""
        self._waiting.append(data)
        if len(self._waiting) > WAITING_MAX:
            self.end(HelloRefused(self.did, "hello_missing", "it does not wait for our HELLO"))

    def _hear_hello(self, data: bytes | str) -> None:
        try:
            check_hello(data, self._known_bond, now_ms())
        except HelloRefused as error:
            self.end(error)
        else:
            self._verified.set_result(None)


def _look(task: "asyncio.Future[None]") -> None:
    """What closing raises concerns nobody any more."""
    if not task.cancelled():
        task.exception()
