"""The agent: what an application imports, and nothing of how it works."""

import ssl
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiconexus.protocol import bodies
from aiconexus.protocol.bodies import AgentCard, Body, Intent, Message, Policy, Presence, Register
from aiconexus.protocol.errors import Refused
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.sdk.calling import Calling
from aiconexus.sdk.connecting import Connecting
from aiconexus.sdk.delivery import AgentState, Sent
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.engine import Engine
from aiconexus.sdk.fanout import Fanout
from aiconexus.sdk.handlers import Handlers
from aiconexus.sdk.identity import Identity
from aiconexus.sdk.inbox import Counts
from aiconexus.sdk.jobs import RetryJobs
from aiconexus.sdk.journal import journal_path
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.plans import Plan
from aiconexus.sdk.profile import Profile
from aiconexus.sdk.road_edge import BINARY
from aiconexus.sdk.roads import road_maker
from aiconexus.sdk.rows import OutRow
from aiconexus.sdk.sharing.sharing import Sharing

if TYPE_CHECKING:
    from aiconexus.sdk.direct.peer import Peer

STORED_SECONDS = 30.0
PING_SECONDS = 5.0
GRACE_SECONDS = 5.0


class Agent:
    """
    A program with an identity that sends, receives and answers signed envelopes.

    Use it as an asynchronous context manager. It connects again after every loss until ``close``, until the platform
    refuses it, or until another session of the same identity takes over.

    Args:
        identity: Who it is.
        url: ``nats://host:port`` or several of one cluster, or ``ws://`` / ``wss://`` for an edge or several of one
            platform, which are taken in turn.
        name: For people.
        capabilities: What it can do, besides those defined with ``capability``.
        policy: Who may write to it.
        callers: Who may, under the policy ``listed``.
        subprotocol: On an edge, ``aiconexus.v1`` (binary) or ``ioap.v1`` (JSON text).
        platform: The platform's DID; None trusts the first platform that is met, and remembers it in the journal.
        state: The journal; by default a file beside the key file, in memory for an identity without one.
        ssl_context: For ``wss://`` with authorities of your own, or a client certificate.
        connect_timeout: Seconds after which entering the context fails; None waits for ever.
        grace: Seconds that ``close`` leaves to running handlers; those that are cut off count as interrupted.
        direct: How direct connections are made, and whether; the default answers whoever may write to it.

    Raises:
        ValueError: If the URL or the subprotocol is none.

    """

    def __init__(
        self,
        identity: Identity,
        url: str | Sequence[str],
        *,
        name: str | None = None,
        capabilities: Collection[str] = (),
        policy: Policy = Policy.ANYONE,
        callers: Collection[str] = (),
        subprotocol: str = BINARY,
        platform: str | None = None,
        state: str | Path | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float | None = None,
        grace: float = GRACE_SECONDS,
        direct: Direct | None = None,
    ) -> None:
        self.identity = identity
        self._profile = Profile(
            did=identity.did, name=name, capabilities=tuple(capabilities), policy=policy, callers=tuple(callers)
        )
        self._platform = platform
        self._path = journal_path(identity.path) if state is None else state
        self._connect_timeout = connect_timeout
        self._grace = grace
        self._direct = direct or Direct()
        self._make_road = road_maker(identity.key, url, subprotocol, ssl_context)
        handlers = self._handlers = Handlers()
        notices = self._notices = Notices()
        self.on = handlers.on
        """Decorator: ``@agent.on("MESSAGE")`` has a function called with each ``Delivery`` of a type."""
        self.capability = handlers.capability
        """Decorator: ``@agent.capability("name")`` has a function answer calls."""
        self.on_state = notices.on_state
        """Decorator: has a callback told of every change of state."""
        self.on_receipt = notices.on_receipt
        """Decorator: has a callback told how far envelopes of ours have come."""
        self.on_error = notices.on_error
        """Decorator: has a callback told of errors that nobody awaits."""
        self._connecting = Connecting(lambda: self._open)
        self._expose_direct(self._connecting, notices)
        calling = Calling(lambda: self._open, notices)
        self.request = calling.request
        """Send a body and await what its recipient says in reply."""
        self.call = calling.call
        """Have another agent, or anybody who is here and can, execute a capability, and await the result."""
        self.stream = calling.stream
        """Likewise, and get the parts of the result as they come."""
        self.ask = calling.ask
        """Put an INTENT and await the reply."""
        self.cancel = calling.cancel
        """Tell a callee that nobody wants its answer any more."""
        fanout = Fanout(lambda: self._open, self.send)
        self.send_many = fanout.send_many
        """Send a MESSAGE to several agents."""
        self.send_to = fanout.send_to
        """Send a MESSAGE to one of those who are here and have a capability."""
        self.broadcast = fanout.broadcast
        """Send a MESSAGE to all agents that fit."""
        sharing = self._sharing = Sharing(self, handlers, notices)
        self.share = sharing.share
        """Bring a file to another agent."""
        self.receive_files = sharing.receive_files
        """Take files that others share, into a folder."""
        self.on_file = sharing.on_file
        """Decorator: has a callback told of each file that has come."""
        self._engine: Engine | None = None

    def _expose_direct(self, connecting: Connecting, notices: Notices) -> None:
        self.connect_to = connecting.connect_to
        """Have a direct connection with another agent."""
        self.peer = connecting.peer
        """A directly connected agent by its DID, or None."""
        self.rotate_keys = connecting.rotate_keys
        """Replace every direct connection by one with fresh keys."""
        self.incidents = connecting.incidents
        """What happened on the direct path, the newest first."""
        self.check_incidents = connecting.check_incidents
        """Verify that they are as they were written."""
        self.mesh = connecting.mesh
        """Take part in a mesh of agents."""
        self.on_peer = notices.on_peer
        """Decorator: has a callback told of each agent that is directly connected for the first time."""
        self.on_incident = notices.on_incident
        """Decorator: has a callback told of changes of road, and of attempts to deceive us."""

    # What it is

    @property
    def did(self) -> str:
        """Its name."""
        return self.identity.did

    @property
    def state(self) -> AgentState:
        """Where it stands."""
        return AgentState.OFFLINE if self._engine is None else self._engine.state

    @property
    def platform(self) -> str | None:
        """The DID of the platform, once it was met."""
        return self._platform if self._engine is None else self._engine.link.platform

    @property
    def counts(self) -> Counts:
        """What its mailbox brought so far."""
        return self._open.inbox.counts

    # Its life

    async def start(self) -> None:
        """
        Begin to live, without waiting for the platform.

        Raises:
            Refused: If another process uses the journal.

        """
        if self._engine is not None:
            raise RuntimeError("an agent starts once")
        self._engine = Engine(
            self.identity,
            self._make_road(),
            self._path,
            self._handlers,
            self._notices,
            register=self._register,
            post=self.post,
            platform=self._platform,
            grace_seconds=self._grace,
            direct=self._direct,
        )
        self._engine.start()

    async def wait_online(self, timeout_seconds: float | None = None) -> None:
        """
        Wait until the platform has registered us.

        Raises:
            BusUnavailable: If that is not so in time.
            AiconexusError: If it never will be.

        """
        await self._open.wait_online(timeout_seconds)

    async def wait_closed(self) -> None:
        """
        Wait until the agent has ended.

        Raises:
            TakenOver: If another session of the same identity did.
            AiconexusError: If the platform refused us for good.

        """
        await self._open.wait_closed()

    async def close(self) -> None:
        """Let running handlers end, tell their senders, and leave."""
        if self._engine is not None:
            await self._engine.close()
        self._sharing.close()

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            await self.wait_online(self._connect_timeout)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # What it says

    async def send(self, did: str, content: Any, *, timeout: float | None = STORED_SECONDS, **fields: Any) -> Sent:  # noqa: ASYNC109
        """
        Send a MESSAGE; see ``post``.

        Args:
            did: To whom; may be ourselves.
            content: Anything that msgpack or JSON can say.
            timeout: Seconds to wait until it is stored.
            fields: As for ``post``.

        """
        return await self.post(did, Message(content=content), timeout=timeout, **fields)

    async def intent(
        self,
        did: str,
        query: str | None = None,
        *,
        timeout: float | None = STORED_SECONDS,  # noqa: ASYNC109
        **wish: Any,
    ) -> Sent:
        """Send an INTENT: a ``query`` with ``context``, or a ``task`` with ``params``."""
        return await self.post(did, Intent(query=query, **wish), timeout=timeout)

    async def post(
        self,
        did: str,
        body: Body,
        *,
        timeout: float | None = STORED_SECONDS,  # noqa: ASYNC109
        lifetime_ms: int | None = None,
        thread: str | None = None,
        in_reply_to: str | None = None,
        traceparent: str | None = None,
        content_type: str | None = None,
        retry: RetryPolicy | None = None,
        not_before_ms: int = 0,
    ) -> Sent:
        """
        Send any body that mailboxes take, and wait until the relay has it on disk.

        It is in the journal before the first try, and tried until it is stored or expires, by the next process if
        need be. Envelopes to one recipient arrive in the order of the calls.

        Args:
            did: To whom.
            body: What.
            timeout: Seconds to wait; None waits as long as it lives, 0 not at all.
            lifetime_ms: When it stops to count; the default is the longest, seven days.
            thread: The conversation it belongs to.
            in_reply_to: The id of the envelope that it answers.
            traceparent: W3C Trace Context.
            content_type: What is in it.
            retry: Leave delivery to the retry service; by this policy full mailboxes, time-outs and returns are tried.
            not_before_ms: With ``retry``, when the first attempt is due; milliseconds since the epoch.

        Raises:
            EnvelopeTooLarge: If nobody would accept it.
            Refused: If there is no retry service.
            RemoteProblem: If the recipient is unknown or refuses, or the relay does for another permanent reason.
            NotAcknowledged: If it was not stored in time; it stays in the outbox.

        """
        sent = self._open.outbox.put(
            did,
            body,
            lifetime_ms=lifetime_ms,
            thread=thread,
            in_reply_to=in_reply_to,
            traceparent=traceparent,
            content_type=content_type,
            plan=None if retry is None else Plan(retry, not_before_ms),
        )
        return sent if timeout == 0 else await sent.wait_stored(timeout)

    async def signal(self, did: str, body: Body, *, in_reply_to: str | None = None) -> str:
        """
        Hand a live body (OFFER, ANSWER, ICE_CANDIDATE, …) to an agent that is connected now.

        Returns:
            The envelope's id.

        Raises:
            RemoteProblem: If the agent is not there or refuses.
            BusError: If no answer came.

        """
        return await self._open.live.signal(did, body, in_reply_to=in_reply_to)

    async def ping(self, did: str | None = None, *, timeout: float = PING_SECONDS) -> float:  # noqa: ASYNC109
        """
        Measure the way to another agent and back, or to the platform.

        Returns:
            Seconds.

        """
        return await self._open.ping(did, timeout)

    @property
    def jobs(self) -> RetryJobs:
        """What the retry service does for this agent, and what it gave up."""
        return RetryJobs(self._open.link.services)

    # Whom it knows

    @property
    def peers(self) -> "dict[str, Peer]":
        """Whom it is directly connected with, or about to be, by DID."""
        return self._connecting.all()

    def discover(
        self, *, capability: str | None = None, name: str | None = None, online: bool | None = None
    ) -> AsyncIterator[AgentCard]:
        """List agents that fit all the filters; pages are fetched as they are needed."""
        return self._open.discovery.discover(capability=capability, name=name, online=online)

    async def resolve(self, did: str) -> AgentCard:
        """
        Fetch the card of an agent.

        Raises:
            UnknownAgent: If there is none.

        """
        return await self._open.discovery.resolve_one(did)

    def watch(self, dids: Collection[str] = ()) -> AsyncIterator[Presence]:
        """Follow who comes and goes: some agents, or all."""
        return self._open.attention.watch(dids)

    def dead_letters(self) -> list[OutRow]:
        """Envelopes of ours that came to a bad end, with the ``problem``; kept until they would have expired."""
        return self._open.outbox.rows.dead()

    # How it goes

    async def unregister(self, reason: str | None = None) -> None:
        """Leave at once and say why, then close."""
        await self._open.link.services.ask("identity", bodies.Unregister(reason=reason), bodies.Unregistered)
        await self.close()

    async def revoke(self, reason: str | None = None) -> None:
        """Declare this identity's key void, for ever, then close."""
        await self._open.link.services.ask("identity", bodies.Revoke(reason=reason), bodies.Revoked)
        await self.close()

    @property
    def _open(self) -> Engine:
        if self._engine is None:
            raise Refused("the agent was not started: use `async with agent`")
        return self._engine

    def _register(self, challenge: str | None) -> Register:
        return self._profile.register(challenge, self._handlers.capabilities, self._open.link.road.codecs)
