"""Take each frame of a registered agent to whoever answers it, and the answer back."""

from collections.abc import Awaitable, Callable
from time import monotonic, thread_time

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Session
from aiconexus.edge import metrics
from aiconexus.edge.connection import Connection
from aiconexus.edge.doorman import Doorman
from aiconexus.edge.refusals import close_of
from aiconexus.edge.replies import Replies
from aiconexus.edge.routing import EDGE, Names, Route, route_of
from aiconexus.edge.sessions import Farewells
from aiconexus.edge.watchers import Watchers
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Ping, Pong, Revoked, Unregister, Unregistered, Watch, Watching
from aiconexus.protocol.closing import Close
from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.envelope import Envelope, check_fresh
from aiconexus.protocol.errors import AiconexusError, BusError, BusUnavailable, EnvelopeError, ForeignSender
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.problems import report
from aiconexus.protocol.replay import ReplayWindow
from aiconexus.protocol.seal import Codec, Letter, Sealed, check_seal, peek, return_of, split, wrap
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.voice import Voice

SIGNATURE_BYTES = 64
READING_SECONDS = 0.001
"""What takes longer to read is large, of many small pieces, and JSON: it blocks everybody else meanwhile."""
RESTS_PER_READING = 9.0
"""For so many times as long nothing more is read of that agent, so that it gets a tenth of our time at most."""

LAST_WORDS = {
    "unregister": (Unregistered.TYPE, Close.NORMAL),
    "revoke": (Revoked.TYPE, Close.REFUSED),
}
"""Answers of identity after which nothing more can be said, by the verb of the request."""


class Question:
    """A request of an agent that a service has not answered yet."""

    __slots__ = ("_asked", "_codec", "_connection", "_id", "_route", "_switchboard", "subject")

    def __init__(self, switchboard: "Switchboard", connection: Connection, route: Route, id_: str, codec: int) -> None:
        self._switchboard = switchboard
        self._connection = connection
        self._route = route
        self._id = id_
        self._codec = codec
        self._asked = monotonic()
        self.subject = subjects.send(connection.token, route.service, route.verb)

    def answer(self, data: bytes) -> None:
        """See ``replies``."""
        metrics.ANSWER_SECONDS.labels(self._route.verb).observe(monotonic() - self._asked)
        self._connection.answered()
        self._switchboard.pass_back(self._connection, self._route, data)

    def fail(self, error: AiconexusError) -> None:
        """See ``replies``."""
        self._connection.answered()
        self._switchboard.complain(self._connection, error, self._id, self._codec)


class Switchboard:
    """
    Knows where everything goes.

    Args:
        session: The bus.
        voice: Ours.
        names: Of the services.
        replay: The ids of what agents said to this edge.
        replies: Where services' answers arrive.
        doorman: Registers again who is registered.
        watchers: Tells about presence.
        farewells: Tells identity who has left.
        refusals: Takes note of what was refused.

    """

    def __init__(
        self,
        session: Session,
        voice: Voice,
        names: Names,
        replay: ReplayWindow,
        *,
        replies: Replies,
        doorman: Doorman,
        watchers: Watchers,
        farewells: Farewells,
        refusals: Refusals,
    ) -> None:
        self._session = session
        self._voice = voice
        self._names = names
        self._replay = replay
        self._replies = replies
        self._doorman = doorman
        self._watchers = watchers
        self._farewells = farewells
        self._refusals = refusals
        self._own: dict[str, Callable[[Connection, Letter], Awaitable[None]]] = {
            "register": self._register,
            "unregister": self._unregister,
            "ping": self._ping,
            "watch": self._watch,
        }

    async def handle(self, connection: Connection, frame: bytes) -> None:
        """Route one frame; what is wrong with it is told to the agent."""
        started = thread_time()
        spent_seconds: float | None = None
        sealed: Sealed | None = None
        try:
            sealed, data = connection.dialect.read(frame)
            envelope = peek(sealed, is_canonical=connection.dialect.codec is Codec.JSON)
            spent_seconds = thread_time() - started
            self._check(connection, envelope)
            await self._route(connection, sealed, envelope, data)
        except AiconexusError as error:
            if spent_seconds is None:
                spent_seconds = thread_time() - started
            codec = connection.dialect.codec if sealed is None else sealed.codec
            self.complain(connection, error, None if sealed is None else return_of(sealed).id, codec)
        if spent_seconds > READING_SECONDS:
            await connection.rest(spent_seconds * RESTS_PER_READING)

    def pass_back(self, connection: Connection, route: Route, data: bytes) -> None:
        """Hand a service's answer to the agent, once."""
        if route.verb == "submit":
            # The relay answers several envelopes of one sender with one RECEIPT, to each of them.
            signature = data[-SIGNATURE_BYTES:]
            if signature == connection.last_stored:
                return
            connection.last_stored = signature
        try:
            connection.push(data)
            if route.verb in LAST_WORDS:
                self._part(connection, data, *LAST_WORDS[route.verb])
        except EnvelopeError:
            metrics.PUSHES.labels("unreadable").inc()

    def _part(self, connection: Connection, data: bytes, type_: str, close: Close) -> None:
        connection.is_leaving = peek(split(data, REPLY_MAX_BYTES)).type == type_
        if connection.is_leaving:
            connection.end(close)

    def complain(self, connection: Connection, error: AiconexusError, id_: str | None, codec: int) -> None:
        """Answer with an ERROR; whoever makes too many mistakes is shown out."""
        problem = report(error)
        metrics.ERRORS.labels(problem.problem).inc()
        self._refusals.note(error, connection.did)
        connection.push(self._voice.complain(error, connection.did, codec=Codec(codec), in_reply_to=id_))
        if not isinstance(error, BusError) and connection.strikes.strike(monotonic()):
            connection.end(Close.TOO_FAST if isinstance(error, RateLimited) else close_of(problem), problem.message)

    def _check(self, connection: Connection, envelope: Envelope) -> None:
        if envelope.sender != connection.did:
            raise ForeignSender(envelope.sender, connection.did)
        if connection.bucket is not None and (wait_seconds := connection.bucket.take(monotonic())):
            raise RateLimited(int(wait_seconds * 1000) + 1)

    async def _route(self, connection: Connection, sealed: Sealed, envelope: Envelope, data: bytes) -> None:
        route = route_of(envelope, self._names)
        metrics.FRAMES.labels(route.verb).inc()
        if route.service == EDGE:
            await self._own[route.verb](connection, self._believe(sealed, envelope))
            return
        if not self._session.is_connected:
            # The client would keep it for later, when nobody waits for the answer any more.
            raise BusUnavailable((), "not connected")
        connection.is_leaving = route.verb in LAST_WORDS
        await connection.wait_for_room()
        connection.in_flight += 1
        question = Question(self, connection, route, envelope.id, sealed.codec)
        try:
            await self._replies.ask(question, data)
        except BusUnavailable:
            connection.answered()
            raise

    def _believe(self, sealed: Sealed, envelope: Envelope) -> Letter:
        """Check what is said to us: signed, fresh, and new."""
        check_seal(sealed, envelope.sender)
        check_fresh(envelope, now_ms())
        self._replay.admit(envelope.sender, envelope.id, now_ms())
        return Letter(envelope, sealed)

    async def _register(self, connection: Connection, letter: Letter) -> None:
        await self._doorman.renew(connection, letter, wrap(letter.sealed))

    async def _unregister(self, connection: Connection, letter: Letter) -> None:
        body = letter.body
        reason = body.reason if isinstance(body, Unregister) else None
        connection.is_leaving = True
        await self._farewells.tell_now(connection, reason)
        self._answer(connection, letter, Unregistered(reason=reason))
        connection.end(Close.NORMAL)

    async def _ping(self, connection: Connection, letter: Letter) -> None:
        body = letter.body
        if isinstance(body, Ping):
            self._answer(connection, letter, Pong(sequence=body.sequence))

    async def _watch(self, connection: Connection, letter: Letter) -> None:
        body = letter.body
        if isinstance(body, Watch):
            self._watchers.watch(connection, body.dids)
            self._answer(connection, letter, Watching(dids=body.dids))

    def _answer(self, connection: Connection, letter: Letter, body: Pong | Unregistered | Watching) -> None:
        codec = Codec(letter.sealed.codec)
        connection.push(self._voice.say(body, connection.did, codec=codec, in_reply_to=letter.envelope.id))
