"""A peer: the lasting relation with one agent, over as many connections as it takes."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.direct_errors import ChannelClosed, ConnectionFailed
from aiconexus.protocol.errors import AiconexusError, RemoteProblem
from aiconexus.protocol.frames import Word, write_word
from aiconexus.protocol.problems import CONNECTION_REFUSED, problem_of
from aiconexus.protocol.signal_bodies import Answer, Bye, IceCandidate, Offer
from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.hooks import Hooks
from aiconexus.sdk.direct.lifeline import Lifeline
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.negotiation import Negotiation
from aiconexus.sdk.direct.states import (
    PEER,
    ConnectionState,
    Happening,
    IceState,
    Verdict,
    advance,
    judge_offer,
)

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

    from aiconexus.sdk.direct.seam import Channels

CLOSE, REPLACED = "close", "replaced"
RELAY = "relay"
Callback = TypeVar("Callback", bound=Callable[..., Any])


class Peer:
    """
    One agent that we are, or will be, directly connected with.

    Args:
        local: Our side.
        did: The agent.
        on_connected: Told when it is connected for the first time.
        on_gone: Told when it is over.

    """

    def __init__(
        self, local: Local, did: str, *, on_connected: Callable[["Peer"], None], on_gone: Callable[["Peer"], None]
    ) -> None:
        self.did = did
        self.settings = local.settings
        self.state = ConnectionState.NEW
        self.channels_host: Channels | None = None
        self._local = local
        self._hooks = Hooks(local.tell)
        self._on_connected = on_connected
        self._on_gone = on_gone
        self._line = Lifeline(local, self)
        self._next: Negotiation | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._was_connected = False
        self._road: str | None = None

    # What an application sees

    @property
    def session(self) -> str | None:
        """The name of the present session."""
        return None if self._line.current is None else self._line.current.session

    @property
    def role(self) -> str | None:
        """Our role in it: ``offerer`` or ``answerer``."""
        return None if self._line.current is None else self._line.current.role

    @property
    def ice_state(self) -> IceState:
        """Where its ICE stands; before the first connection, that of the negotiation."""
        if self._line.current is not None:
            return self._line.current.ice_state
        under_way = None if self._next is None else self._next.connection
        return IceState.NEW if under_way is None else under_way.ice_state

    @property
    def road(self) -> str:
        """Which way mail goes now: ``direct``, ``turn``, or ``relay`` while neither works."""
        current = self._line.current
        return RELAY if current is None or self.state is not ConnectionState.CONNECTED else current.road

    @property
    def rtt_seconds(self) -> float | None:
        """The smoothed round trip of heartbeats."""
        return self._line.rtt_seconds

    def on_state(self, callback: Callback) -> Callback:
        """Have a callback told of every change of ``state``."""
        return self._hooks.add("state", callback)

    def on_ice_state(self, callback: Callback) -> Callback:
        """Have a callback told of every change of ``ice_state``."""
        return self._hooks.add("ice_state", callback)

    def on_road(self, callback: Callback) -> Callback:
        """Have a callback told of every change of ``road``."""
        return self._hooks.add("road", callback)

    def on_channel(self, callback: Callback) -> Callback:
        """Have a callback told of channels that the other side opens."""
        return self._hooks.add("channel", callback)

    async def replace(self, reason: str = "replace") -> None:
        """
        Bring a new connection about, with fresh keys, and let it take the place of the present one.

        Raises:
            AiconexusError: If none comes about; the present one stays.

        """
        before = self.session
        if self._next is None:
            self.attempt(reason, with_turn=self.road == "turn")
        await self.wait_connected(beyond=before)

    async def close(self, reason: str = CLOSE) -> None:
        """Leave the other side, for good, and tell it."""
        if self.state is ConnectionState.CLOSED:
            return
        session = self.session or (None if self._next is None else self._next.session)
        told = self._line.say_leaving(reason)
        self._end(Happening.CLOSE, ChannelClosed(self.did, reason))
        if not told and session is not None:
            await self._say_bye(Bye(session=session, reason=reason))
        await self._line.close()

    async def wait_connected(self, beyond: str | None = None) -> None:
        """
        Wait until it is connected, or what is under way has failed.

        Args:
            beyond: A session that does not count.

        Raises:
            AiconexusError: Why it failed.

        """
        while self.state is not ConnectionState.CONNECTED or self.session == beyond:
            if self.state in (ConnectionState.CLOSED, ConnectionState.FAILED):
                raise ConnectionFailed(self.did, "closed", "the peer is closed")
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def wait_retired(self, session: str | None) -> None:
        """Wait until a replaced connection is closed: its keys are dead."""
        await self._line.wait_retired(session)

    # Attempts

    @property
    def pending_session(self) -> str | None:
        """The session that is being negotiated."""
        return None if self._next is None else self._next.session

    @property
    def phase(self) -> str:
        """How far the present try has come."""
        connection = self._next_connection
        return "servers" if connection is None else connection.phase

    @property
    def is_negotiating(self) -> bool:
        """Whether a new connection is under way."""
        return self._next is not None

    def attempt(self, reason: str, *, with_turn: bool = False) -> None:
        """Offer a connection, unless one is under way."""
        if self._next is not None:
            return
        negotiation = self._negotiation()
        work = negotiation.offer(reason, with_turn=with_turn)
        self._local.crew.start(self._bring_about(negotiation, work), f"offer-{self.did}")

    def take_offer(self, offer: Offer, session: str) -> bool:
        """
        Answer an offer, unless ours goes first.

        Returns:
            Whether it is answered.

        """
        under_way = self._next
        step = None if under_way is None else under_way.step
        verdict = judge_offer(self._local.did, self.did, step, ours=under_way is not None and under_way.ours)
        if under_way is not None and under_way.ours:
            self._local.incidents.note("glare", self.did, session, f"both offered: {verdict} theirs")
        if verdict is Verdict.PASS_OVER:
            return False
        if under_way is not None:
            self._next = None
            under_way.abandon(ConnectionFailed(self.did, "offering", "another offer took its place"))
        negotiation = self._negotiation()
        self._local.crew.start(self._bring_about(negotiation, negotiation.answer(offer, session)), f"answer-{self.did}")
        return True

    def take_answer(self, answer: Answer) -> None:
        """
        Take the answer to our offer.

        Raises:
            UnexpectedSignal: If the session awaits none.

        """
        connection = self._pending(answer.session)
        if connection is not None:
            connection.take_answer(answer)

    async def take_candidates(self, body: IceCandidate) -> None:
        """
        Take trickled candidates.

        Raises:
            DescriptionRefused: If they are none, or too many.

        """
        connection = self._pending(body.session)
        if connection is not None:
            await connection.take_candidates(body)

    def take_bye(self, bye: Bye) -> None:
        """The other side has given up a session, or left."""
        problem = bye.problem
        error: AiconexusError = ConnectionFailed(self.did, "closed", bye.reason or "the peer said good-bye")
        if problem is not None:
            told = bye.reason or f"the peer gave up: {problem}"
            error = RemoteProblem(self.did, Error(code=CONNECTION_REFUSED, problem=problem, message=told))
        connection = self._pending(bye.session)
        if connection is not None:
            connection.end(error)
        elif bye.session == self.session:
            self.note_left(bye.reason or CLOSE)

    # What its connection tells

    def note_ice(self, connection: Connection) -> None:
        """ICE stands elsewhere now."""
        if connection is self._line.current or (self._line.current is None and connection is self._next_connection):
            self._hooks.tell("ice_state", connection.ice_state)

    def note_frame(self, connection: Connection, data: bytes | str) -> None:
        """The other side said something."""
        self._line.take(connection, data)

    def note_raw(self, connection: Connection, raw: "RTCDataChannel") -> None:
        """The other side opened a data channel."""
        if self.channels_host is not None:
            self.channels_host.incoming(connection, raw)
        else:
            raw.close()

    def note_lost(self, connection: Connection) -> None:
        """An established connection is over."""
        self._line.note_lost(connection)

    def note_left(self, reason: str) -> None:
        """The other side has left for good."""
        self._end(Happening.CLOSE, ChannelClosed(self.did, f"the peer left: {reason}"))
        self._local.crew.start(self._line.close(), f"left-{self.did}")

    def happen(self, happening: Happening) -> None:
        """Something happened to the peer as a whole."""
        before, self.state = self.state, advance(PEER, self.state, happening)
        if self.state is not before:
            self._hooks.tell("state", self.state)
        road = self.road
        if road != self._road and self.state is not ConnectionState.NEW:
            metrics.note_road(self._road, road)
            self._road = road
            self._hooks.tell("road", road)

    # What its channels need

    @property
    def wire(self) -> Connection | None:
        """The connection to use now."""
        return self._line.current

    def open_raw(
        self,
        label: str,
        *,
        ordered: bool = True,
        max_packet_life_time_ms: int | None = None,
        max_retransmits: int | None = None,
        protocol: str = "",
        negotiated: bool = False,
        id: int | None = None,  # noqa: A002 - RTCDataChannelInit calls it that
    ) -> "RTCDataChannel":
        """
        Create a data channel of the stack in the present connection.

        Raises:
            ChannelClosed: If there is no connection.

        """
        current = self._line.current
        if current is None:
            raise ChannelClosed(label, "there is no connection now")
        return current.pc.createDataChannel(
            label,
            maxPacketLifeTime=max_packet_life_time_ms,
            maxRetransmits=max_retransmits,
            ordered=ordered,
            protocol=protocol,
            negotiated=negotiated,
            id=id,
        )

    def send_word(self, word: Word) -> None:
        """
        Say a word through the system channel of the present connection.

        Raises:
            ChannelClosed: If there is no connection.

        """
        current = self._line.current
        if current is None:
            raise ChannelClosed(self.did, "there is no connection now")
        current.send(write_word(word))

    def note_incident(self, event: str, detail: str) -> None:
        """Have something kept that operators should know of."""
        self._local.incidents.note(event, self.did, self.session, detail)

    def note_channel(self, channel: Any) -> None:
        """Tell the application of a channel that the other side opened."""
        self._hooks.tell("channel", channel)

    # Inside

    @property
    def _next_connection(self) -> Connection | None:
        return None if self._next is None else self._next.connection

    def _pending(self, session: str | None) -> Connection | None:
        connection = self._next_connection
        return connection if connection is not None and connection.session == session else None

    def _negotiation(self) -> Negotiation:
        self._next = Negotiation(self._local, self, self.did, self.session)
        metrics.note_attempted()
        self.happen(Happening.ATTEMPT)
        return self._next

    async def _bring_about(self, negotiation: Negotiation, work: Any) -> None:
        began = asyncio.get_running_loop().time()
        try:
            connection = await work
        except AiconexusError as error:
            await self._note_failed(negotiation, error)
            return
        if self._next is not negotiation or not connection.is_open:
            await connection.close()
            return
        self._next = None
        metrics.note_established(asyncio.get_running_loop().time() - began)
        self._line.adopt(connection)
        self.happen(Happening.ESTABLISHED)
        connection.flush()
        if not self._was_connected:
            self._was_connected = True
            self._on_connected(self)
        self._wake()

    async def _note_failed(self, negotiation: Negotiation, error: AiconexusError) -> None:
        if self._next is not negotiation:
            return
        self._next = None
        metrics.note_failed(error)
        event = getattr(error, "event", "connection_failed")
        self._local.incidents.note(event, self.did, negotiation.session, str(error))
        if self.state is ConnectionState.CONNECTING:
            self._end(Happening.GIVEN_UP, error)
        else:
            self._wake(error)
        if negotiation.session is not None and not isinstance(error, RemoteProblem):
            await self._say_bye(self._bye(negotiation.session, error))

    def _end(self, happening: Happening, error: AiconexusError) -> None:
        """Be over: nothing comes back."""
        if self.state in (ConnectionState.CLOSED, ConnectionState.FAILED):
            return
        under_way, self._next = self._next, None
        if under_way is not None:
            under_way.abandon(error)
        self._line.stop()
        self.happen(happening)
        metrics.note_road(self._road, None)
        self._road = None
        if self.channels_host is not None:
            self.channels_host.close(str(error))
        self._wake(error)
        self._on_gone(self)

    def _wake(self, error: AiconexusError | None = None) -> None:
        for waiter in self._waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def _bye(self, session: str, error: AiconexusError) -> Bye:
        return Bye(session=session, reason=str(error)[:256], problem=problem_of(error).name)

    async def _say_bye(self, bye: Bye) -> None:
        try:
            await self._local.signal(self.did, bye)
        except AiconexusError:
            # A courtesy: without it the other side has to wait for its deadline.
            return
