"""The native road: a NATS connection of the agent's own, logged in with its DID."""

import asyncio
from collections.abc import Sequence

from aiconexus.bus.session import Incoming, Session, Subscription
from aiconexus.protocol import subjects
from aiconexus.protocol.did import token_in
from aiconexus.protocol.errors import BusUnavailable, EnvelopeError, RequestTimedOut
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Codec, Letter, split
from aiconexus.sdk.answers import read_answer
from aiconexus.sdk.road import Ask, Greeting, Lost, Push, Sink

PENDING_MAX = 4096
PENDING_MAX_BYTES = 16 * 1024 * 1024
GREETING_SECONDS = 5.0
SUBJECTS_MAX = 24
"""Agents watched one by one; the server allows 64 subscriptions, and new ones begin before old ones end."""


class NatsRoad:
    """
    See ``Road``.

    Args:
        urls: ``nats://`` servers of one cluster.
        key: The agent's.

    """

    codec = Codec.MSGPACK
    codecs: tuple[int, ...] = (1, 2)
    writes: tuple[Codec, ...] = (Codec.MSGPACK, Codec.JSON)
    heart: str | None = None

    def __init__(self, urls: Sequence[str], key: SigningKey) -> None:
        self._urls = tuple(urls)
        self._key = key
        self.trusted: frozenset[str] = frozenset()
        self._session: Session | None = None
        self._sink: Sink | None = None
        self._lost = asyncio.Event()
        self._scopes: set[asyncio.Timeout] = set()
        self._watches: list[Subscription] = []

    async def connect(self, sink: Sink) -> Greeting:
        """Log in, listen to the own inbox, and ask who the platform is."""
        self._lost = asyncio.Event()
        self._watches = []
        self._sink = sink
        token = self._key.token
        self._session = session = await Session.connect(
            self._urls,
            self._key,
            name=self._key.did,
            inbox_prefix=subjects.inbox_replies(token),
            forever=False,
            heals=False,
            on_closed=self._note_lost,
        )
        await session.subscribe(
            subjects.inbox_mail(token), self._take_mail, messages_max=PENDING_MAX, bytes_max=PENDING_MAX_BYTES
        )
        await session.subscribe(
            subjects.inbox_live(token), self._take_live, messages_max=PENDING_MAX, bytes_max=PENDING_MAX_BYTES
        )
        await session.barrier()
        answer = await session.request(
            subjects.send(token, "identity", "platform"), b"", timeout_seconds=GREETING_SECONDS
        )
        return Greeting(answer.data)

    async def request(self, service: str, verb: str, sealed: bytes, id_: str, timeout_seconds: float) -> Letter:
        """Publish on our own send subject and await the answer."""
        del id_
        session = self._open()
        subject = subjects.send(self._key.token, service, verb)
        try:
            # The scope ends early when the connection is lost: no answer can come then.
            async with asyncio.timeout(timeout_seconds) as scope:
                self._scopes.add(scope)
                try:
                    answer = await session.request(subject, sealed, timeout_seconds=timeout_seconds)
                finally:
                    self._scopes.discard(scope)
        except TimeoutError as error:
            raise RequestTimedOut(subject, timeout_seconds) from error
        return read_answer(answer.data)

    async def watch(self, dids: tuple[str, ...], ask: Ask) -> None:
        """Subscribe to the subjects on which identity tells."""
        del ask
        session = self._open()
        before, self._watches = self._watches, []
        singles = dids if len(dids) <= SUBJECTS_MAX else ()
        wanted = [subjects.presence(token_in(did)) for did in singles] or [subjects.all_presence()]
        for subject in wanted:
            self._watches.append(await session.subscribe(subject, self._take_live, messages_max=PENDING_MAX))
        for subscription in before:
            await subscription.unsubscribe()
        await session.barrier()

    async def wait_lost(self) -> Lost:
        """Wait for the end of the session."""
        await self._lost.wait()
        return Lost(BusUnavailable(self._urls, "the connection was lost"))

    async def close(self) -> None:
        """Log out."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> Session:
        if self._session is None or self._lost.is_set():
            raise BusUnavailable(self._urls, "not connected")
        return self._session

    def _note_lost(self) -> None:
        self._lost.set()
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(now)

    async def _take_mail(self, message: Incoming) -> None:
        headers = message.headers or {}
        try:
            sequence, previous = int(headers["Nats-Sequence"]), int(headers["Nats-Last-Sequence"])
        except (KeyError, ValueError):
            # Only the stream may put something here; everything else is somebody's misdirected reply.
            return
        self._push(message.data, sequence, previous)

    async def _take_live(self, message: Incoming) -> None:
        self._push(message.data, None, None)

    def _push(self, data: bytes, sequence: int | None, previous: int | None) -> None:
        try:
            sealed = split(data)
        except EnvelopeError:
            return
        if self._sink is not None:
            self._sink(Push(sealed, sequence, previous))
