"""What keeps one peer connected: negotiations, the connection in use, and who waits for it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.direct_errors import ChannelClosed, ConnectionFailed
from aiconexus.protocol.errors import AiconexusError, RemoteProblem
from aiconexus.protocol.problems import CONNECTION_REFUSED, problem_of
from aiconexus.protocol.signal_bodies import Answer, Bye, IceCandidate
from aiconexus.sdk.direct import chronicle, metrics
from aiconexus.sdk.direct.channels import PeerChannels
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.hooks import Hooks
from aiconexus.sdk.direct.hosting import Hosting
from aiconexus.sdk.direct.lifeline import Lifeline
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.monitor import Monitor
from aiconexus.sdk.direct.negotiation import DIRECT, Negotiation
from aiconexus.sdk.direct.offers import Proposal
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.states import PEER, ConnectionState, Happening, IceState, Step, Verdict, advance, judge_offer
from aiconexus.sdk.direct.waiting import Waiting

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

CLOSE = "close"
RELAY = "relay"
REASON_CHARACTERS = 256
BYE_SECONDS = 3.0
"""How long a connection stays open for the sake of a word to the other side, if the platform does not answer."""
ENDED = (ConnectionState.CLOSED, ConnectionState.FAILED)


class Relation:
    """
    Everything behind one ``Peer``.

    Args:
        local: Our side.
        did: The agent.
        on_connected: Told when it is connected for the first time.
        on_gone: Told when it is over.

    """

    def __init__(
        self,
        local: Local,
        did: str,
        *,
        on_connected: Callable[["Relation"], None],
        on_gone: Callable[["Relation"], None],
    ) -> None:
        self.local = local
        self.did = did
        self.state = ConnectionState.NEW
        self.is_wanted = False
        """Whether the application has asked for it, and not only the other side."""
        self.hooks = Hooks(local.tell)
        self.peer = Peer(self, self.hooks)
        self.host = Hosting(self)
        self.channels = PeerChannels(self.host)
        self._on_connected = on_connected
        self._on_gone = on_gone
        self._line = Lifeline(local, self)
        self.monitor = Monitor(self._line.take_trip, lambda rating: self.hooks.tell("quality", rating))
        self._next: Negotiation | None = None
        self._waiting = Waiting()
        self._was_connected = False
        self._road: str | None = None

    # How it stands

    @property
    def current(self) -> Connection | None:
        """The connection in use."""
        return self._line.current

    @property
    def session(self) -> str | None:
        """Its session."""
        return None if self.current is None else self.current.session

    @property
    def role(self) -> str | None:
        """Our role in it."""
        return None if self.current is None else self.current.role

    @property
    def pending(self) -> Connection | None:
        """The connection that is being negotiated."""
        return None if self._next is None else self._next.connection

    @property
    def pending_session(self) -> str | None:
        """Its session."""
        return None if self._next is None else self._next.session

    @property
    def is_negotiating(self) -> bool:
        """Whether a new connection is under way."""
        return self._next is not None

    @property
    def phase(self) -> str:
        """How far the present try has come."""
        return "servers" if self.pending is None else self.pending.phase

    @property
    def ice_state(self) -> IceState:
        """Where ICE stands."""
        if self.state in ENDED:
            return IceState(self.state)
        connection = self.current or self.pending
        return IceState.NEW if connection is None else connection.ice_state

    @property
    def road(self) -> str:
        """Which way mail goes now."""
        current = self.current
        return RELAY if current is None or self.state is not ConnectionState.CONNECTED else current.road

    @property
    def rtt_seconds(self) -> float | None:
        """The smoothed round trip."""
        return self._line.rtt_seconds

    # What is asked of it

    async def wait_connected(self, beyond: str | None = None) -> None:
        """
        Wait until it is connected, or what is under way has failed.

        Args:
            beyond: A session that does not count.

        Raises:
            AiconexusError: Why it failed.

        """
        while self.state is not ConnectionState.CONNECTED or self.session == beyond:
            if self.state in ENDED:
                raise ConnectionFailed(self.did, "closed", "the peer is closed")
            await self._waiting.wait()

    async def wait_retired(self, session: str | None) -> None:
        """Wait until a replaced connection is closed: its keys are dead."""
        await self._line.retiring.wait_closed(session)

    async def replace(self, reason: str) -> None:
        """
        Replace the present connection by one that is begun from now on; whatever is under way ends before.

        Raises:
            AiconexusError: If no other comes about.

        """
        if self.is_negotiating:
            with contextlib.suppress(AiconexusError):
                await self.wait_connected(beyond=self.session)
        before = self.session
        self.attempt(reason, with_turn=self.road == "turn")
        await self.wait_connected(beyond=before)

    async def close(self, reason: str) -> None:
        """Leave the other side, for good, and tell it."""
        if self.state in ENDED:
            return
        session = self.session or self.pending_session
        told = self._line.say_leaving(reason)
        self._end(Happening.CLOSE, ChannelClosed(self.did, reason))
        bye = None if told or session is None else Bye(session=session, reason=reason)
        await asyncio.wait({self.local.graves.start(self._leave(bye), f"leave-{self.did}")})

    def attempt(self, reason: str, *, with_turn: bool = False) -> None:
        """Offer a connection, unless one is under way, or the peer is closed."""
        if self._next is None and self.state not in ENDED:
            negotiation = self._begin()
            self._run(negotiation, lambda: negotiation.offer(reason, with_turn=with_turn))

    # What signaling brings

    def take_offer(self, proposal: Proposal) -> None:
        """Answer an offer, unless ours goes first."""
        under_way = self._next
        if under_way is not None:
            verdict = judge_offer(self.local.did, self.did, under_way.step, ours=under_way.ours)
            if under_way.ours and under_way.step is Step.OFFERED:
                self.local.incidents.note("glare", self.did, proposal.session, f"both offered: {verdict} theirs")
            if verdict is Verdict.PASS_OVER:
                return
            self._next = None
            under_way.abandon(ConnectionFailed(self.did, "offering", "another offer took its place"))
        negotiation = self._begin(proposed=proposal.session)
        self._run(negotiation, lambda: negotiation.answer(proposal))

    def take_answer(self, answer: Answer) -> None:
        """
        Take the answer to our offer.

        Raises:
            UnexpectedSignal: If the session awaits none.

        """
        if self.pending is not None and self.pending.session == answer.session:
            self.pending.take_answer(answer)

    async def take_candidates(self, body: IceCandidate) -> None:
        """
        Take trickled candidates.

        Raises:
            DescriptionRefused: If they are none, or too many.

        """
        if self._next is not None:
            await self._next.take_candidates(body)

    def take_bye(self, bye: Bye) -> None:
        """The other side has given up a session, or left."""
        if self._next is not None and self._next.session == bye.session:
            self._next.abandon(_error_of(self.did, bye))
        elif self.current is not None and self.current.session == bye.session:
            if bye.problem is None:
                self.note_left(bye.reason or CLOSE)
            else:
                self.current.end(_error_of(self.did, bye))

    # What its connections tell

    def note_ice(self, connection: Connection) -> None:
        """ICE stands elsewhere now."""
        if connection is (self.current or self.pending):
            self.hooks.tell("ice_state", connection.ice_state)

    def note_frame(self, connection: Connection, data: bytes | str) -> None:
        """The other side said something."""
        self._line.take(connection, data)

    def note_raw(self, connection: Connection, raw: "RTCDataChannel") -> None:
        """The other side opened a data channel."""
        self.channels.incoming(connection, raw)

    def note_lost(self, connection: Connection) -> None:
        """An established connection is over."""
        self._line.note_lost(connection)

    def note_refused(self, event: str, detail: str) -> None:
        """The other side put something into the channel that we do not believe."""
        self._line.note_foreign(event, detail)

    def note_left(self, reason: str) -> None:
        """The other side has left for good."""
        self._end(Happening.CLOSE, ChannelClosed(self.did, f"the peer left: {reason}"))
        if self.current is not None:
            self.local.bury(self.current)

    def note_incident(self, event: str, detail: str) -> None:
        """Have something kept that operators should know of."""
        self.local.incidents.note(event, self.did, self.session, detail)

    def attach(self, connection: Connection) -> None:
        """Have mail and channels use a connection."""
        self.monitor.attach(connection)
        self.channels.attach(connection)
        if self.local.mail is not None:
            self.local.mail.attach(connection)

    def detach(self, connection: Connection) -> None:
        """Have them use it no more."""
        if self.local.mail is not None:
            self.local.mail.detach(self.did, connection.session)
        self.channels.detach(connection.session)

    def give_up(self, error: AiconexusError) -> None:
        """Nothing that could be tried would change anything."""
        former = self.current
        self._end(Happening.GIVEN_UP, error)
        if former is not None:
            self.local.bury(former)

    def happen(self, happening: Happening) -> None:
        """Something happened to the peer as a whole."""
        before, self.state = self.state, advance(PEER, self.state, happening)
        if self.state is not before:
            self.hooks.tell("state", self.state)
        road = None if self.state in ENDED else self.road
        if self.state is not before or road != self._road:
            chronicle.note_peer(self.did, self.session, self.state, self.road)
        if road != self._road:
            metrics.note_road(self._road, road)
            self._road = road
            self.hooks.tell("road", self.road)

    # Inside

    def _begin(self, proposed: str | None = None) -> Negotiation:
        self._next = Negotiation(self.local, self, self.did, self.session, proposed=proposed)
        metrics.note_attempted()
        self.happen(Happening.ATTEMPT)
        return self._next

    def _run(self, negotiation: Negotiation, work: Callable[[], Coroutine[Any, Any, Connection]]) -> None:
        self.local.crew.start(self._bring_about(negotiation, work), f"negotiation-{self.did}")

    async def _bring_about(self, negotiation: Negotiation, work: Callable[[], Coroutine[Any, Any, Connection]]) -> None:
        began = asyncio.get_running_loop().time()
        try:
            connection = await work()
        except AiconexusError as error:
            await self._note_failed(negotiation, error)
            return
        if self._next is not negotiation or not connection.is_open:
            self.local.bury(connection)
            await self._note_failed(negotiation, ConnectionFailed(self.did, "open", "it ended at once"))
            return
        metrics.note_established(asyncio.get_running_loop().time() - began)
        self._adopt(connection, negotiation.reason)

    def _adopt(self, connection: Connection, reason: str) -> None:
        """Use a connection from now on."""
        self._next = None
        self.local.budget.give_back(self.did)
        self._line.adopt(connection, reason)
        self.happen(Happening.ESTABLISHED)
        if not self._was_connected:
            self._was_connected = True
            self._on_connected(self)
        self._waiting.wake()
        connection.flush()

    async def _note_failed(self, negotiation: Negotiation, error: AiconexusError) -> None:
        if self._next is not negotiation:
            return
        session = negotiation.session
        self._next = None
        metrics.note_failed(error)
        if negotiation.reason != DIRECT or self.current is None:
            event = getattr(error, "event", "connection_failed")
            self.local.incidents.note(event, self.did, session, str(error))
        if self.state is ConnectionState.CONNECTING:
            self._end(Happening.GIVEN_UP, error)
        else:
            self._waiting.wake(error)
        if session is not None and not isinstance(error, RemoteProblem):
            reason = str(error)[:REASON_CHARACTERS]
            await self._say_bye(Bye(session=session, reason=reason, problem=problem_of(error).name))

    def _end(self, happening: Happening, error: AiconexusError) -> None:
        """Be over: nothing comes back."""
        if self.state in ENDED:
            return
        ice_state = self.ice_state
        under_way, self._next = self._next, None
        if under_way is not None:
            under_way.abandon(error)
        self._line.stop()
        self.happen(happening)
        if self.ice_state is not ice_state:
            self.hooks.tell("ice_state", self.ice_state)
        self.monitor.close()
        self.channels.close(str(error))
        self._waiting.wake(error)
        self._on_gone(self)

    async def _leave(self, bye: Bye | None) -> None:
        """Say so, unless it was said, and close: whoever asked for it may be gone before that is done."""
        try:
            async with asyncio.timeout(BYE_SECONDS):
                if bye is not None:
                    await self._say_bye(bye)
        except TimeoutError:
            return
        finally:
            await self._line.close()

    async def _say_bye(self, bye: Bye) -> None:
        try:
            await self.local.signal(self.did, bye)
        except AiconexusError:
            # A courtesy: without it the other side has to wait for its deadline.
            return


def _error_of(did: str, bye: Bye) -> AiconexusError:
    if bye.problem is None:
        return ConnectionFailed(did, "closed", bye.reason or "the peer left")
    told = bye.reason or f"the peer gave up: {bye.problem}"
    return RemoteProblem(did, Error(code=CONNECTION_REFUSED, problem=bye.problem, message=told))
