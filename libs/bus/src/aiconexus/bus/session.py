"""
A NATS connection that heals itself.

It wraps nats-py, logs in with an Ed25519 key (the same 32 bytes as its owner's did:key), reconnects for ever, and mends
what the client library gets wrong: a flush that is no barrier, and a closed client after the login expired.
"""

import asyncio
import base64
import random
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Self

import nats.errors
from nats.aio.client import Client, Server
from nats.aio.subscription import Subscription as ClientSubscription

from aiconexus.bus.client import LOGIN_ERRORS, Handler, HealingClient, Incoming
from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.replies import Replies
from aiconexus.protocol.errors import BusUnavailable, LoginRefused, NoResponders, RequestTimedOut
from aiconexus.protocol.keys import SigningKey

__all__ = ["Handler", "Incoming", "Session", "Subscription"]

NONCE = re.compile(r"[A-Za-z0-9_-]{11,22}")
"""The only thing that the key signs for a server: a signature over anything else could be an envelope's."""

RECONNECT_WAIT_SECONDS = 0.1
RECONNECT_MAX_SECONDS = 2.0
CONNECT_TIMEOUT_SECONDS = 4
"""A lost SYN is repeated after 1 and 3 seconds (RFC 6298); then another attempt is better than the fourth."""
LOGIN_SECONDS = 5.0
"""How long a session that does not wait for ever tries: what connects at the last moment still has to log in."""
PING_SECONDS = 10
PENDING_MAX_BYTES = 8 * 1024 * 1024
NO_RESPONDERS = "503"


class _Events:
    """What the client library tells, passed on to plain functions."""

    def __init__(
        self,
        on_down: Callable[[], None] | None,
        on_up: Callable[[], None] | None,
        on_closed: Callable[[], None] | None,
        on_error: Callable[[Exception], None] | None,
    ) -> None:
        self._on_down = on_down
        self._on_up = on_up
        self._on_closed = on_closed
        self._on_error = on_error
        self.up = asyncio.Event()
        self.refused = asyncio.Event()
        self.last: Exception | None = None

    async def error(self, error: Exception) -> None:
        if not self.refused.is_set():
            self.last = error
        if not self.up.is_set() and any(text in str(error).lower() for text in LOGIN_ERRORS):
            self.refused.set()
        if self._on_error is not None:
            self._on_error(error)

    async def down(self) -> None:
        self.up.clear()
        if self._on_down is not None:
            self._on_down()

    async def reconnected(self) -> None:
        self.up.set()
        if self._on_up is not None:
            self._on_up()

    async def closed(self) -> None:
        if self._on_closed is not None:
            self._on_closed()


class Subscription:
    """Interest in a subject, until it is given up."""

    def __init__(self, subscription: ClientSubscription) -> None:
        self._subscription = subscription

    @property
    def pending(self) -> int:
        """How many arrived and were not handled yet."""
        return self._subscription.pending_msgs

    async def unsubscribe(self) -> None:
        """Give the interest up; what waits is dropped."""
        try:
            await self._subscription.unsubscribe()
        except (nats.errors.ConnectionClosedError, nats.errors.BadSubscriptionError):
            return

    async def drain(self) -> None:
        """Give the interest up, and handle what has arrived."""
        try:
            await self._subscription.drain()  # type: ignore[no-untyped-call] # the library left it bare
        except (nats.errors.Error, OSError):
            await self.unsubscribe()


class Session:
    """
    One connection to the bus; build it with ``connect``.

    Subscriptions survive reconnects. What was published while the connection is down waits in a buffer and may be
    lost: use a request wherever it matters.
    """

    def __init__(self, client: HealingClient, urls: Sequence[str], up: asyncio.Event) -> None:
        self._client = client
        self._urls = tuple(urls)
        self._up = up
        self._replies: Replies[Incoming] = Replies(client.new_inbox())
        self._listening = asyncio.Lock()
        self._hears_replies = False

    @classmethod
    async def connect(
        cls,
        urls: Sequence[str],
        key: SigningKey,
        *,
        name: str,
        inbox_prefix: str,
        forever: bool = True,
        heals: bool = True,
        on_down: Callable[[], None] | None = None,
        on_up: Callable[[], None] | None = None,
        on_closed: Callable[[], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> Self:
        """
        Log in and stay connected.

        Args:
            urls: One or more servers, ``nats://host:port``.
            key: Our nkey; it signs nothing but a server's nonce.
            name: Shown by the server's monitoring.
            inbox_prefix: Where our answers arrive; the server must allow it.
            forever: Wait until a server is there, instead of raising.
            heals: Connect again after a loss; otherwise the session closes, and its owner decides when to come back.
            on_down: The connection was lost.
            on_up: It is back, and every subscription with it.
            on_closed: It was closed, by us or because no login is possible any more.
            on_error: A server's complaint or a handler's exception.

        Raises:
            BusUnavailable: Unless ``forever``, if no server accepts us; ``LoginRefused`` if one is there.

        """
        client = HealingClient()
        client._public_nkey = user_nkey(key.public_key)  # noqa: SLF001 - the library wants the nkeys package otherwise
        client._auth_configured = True  # noqa: SLF001 - likewise
        events = _Events(on_down, on_up, on_closed, on_error)
        connect = client.connect(
            list(urls),
            name=name,
            inbox_prefix=inbox_prefix,
            signature_cb=_nonce_signer(key),
            error_cb=events.error,
            disconnected_cb=events.down,
            reconnected_cb=events.reconnected,
            closed_cb=events.closed,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            reconnect_time_wait=RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type] # the library sleeps any number
            reconnect_to_server_handler=_paced,
            allow_reconnect=heals,
            max_reconnect_attempts=-1,
            ping_interval=PING_SECONDS,
            pending_size=PENDING_MAX_BYTES,
        )
        try:
            async with asyncio.timeout(None if forever else LOGIN_SECONDS):
                await (connect if forever else _unless(events.refused, _proved(client, connect)))
        except (TimeoutError, OSError, nats.errors.Error) as error:
            await client.close()
            unavailable = LoginRefused if events.refused.is_set() else BusUnavailable
            raise unavailable(urls, str(events.last or error) or "no answer") from error
        events.up.set()
        return cls(client, urls, events.up)

    @property
    def is_connected(self) -> bool:
        """Whether a server is there right now."""
        return bool(self._client.is_connected)

    @property
    def is_closed(self) -> bool:
        """Whether this session is over."""
        return bool(self._client.is_closed)

    @property
    def client_id(self) -> int | None:
        """The server's number for this connection."""
        return self._client.client_id

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        return int(self._client.stats["reconnects"])

    def new_inbox(self) -> str:
        """A fresh subject below our inbox prefix."""
        return self._client.new_inbox()

    async def publish(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """
        Hand bytes to the connection.

        Raises:
            BusUnavailable: If the session is closed or its buffer is full.

        """
        try:
            await self._client.hand_over(subject, data, reply, headers)
        except (nats.errors.Error, OSError) as error:
            raise BusUnavailable(self._urls, str(error)) from error

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        timeout_seconds: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> Incoming:
        """
        Publish and await one answer.

        Raises:
            NoResponders: If nobody serves the subject.
            RequestTimedOut: If no answer came in time.
            BusUnavailable: If the session is closed or its buffer is full.

        """
        await self._hear_replies()
        reply, answering = self._replies.expect()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.publish(subject, data, reply=reply, headers=headers)
                answer = await answering
        except TimeoutError as error:
            raise RequestTimedOut(subject, timeout_seconds) from error
        finally:
            self._replies.forget(reply)
        if (answer.headers or {}).get("Status") == NO_RESPONDERS:
            raise NoResponders(subject)
        return answer

    async def _hear_replies(self) -> None:
        if self._hears_replies:
            return
        async with self._listening:
            if not self._hears_replies:
                await self.subscribe(self._replies.subject, self._replies.take, direct=True)
                self._hears_replies = True

    async def subscribe(
        self,
        subject: str,
        handler: Handler,
        *,
        queue: str = "",
        messages_max: int = 65_536,
        bytes_max: int = 64 * 1024 * 1024,
        direct: bool = False,
    ) -> Subscription:
        """
        Have a handler called for each message, one at a time and in order.

        Args:
            subject: May hold wildcards.
            handler: What it raises goes to ``on_error``. Long work belongs into a task of its own.
            queue: Share the messages with the others of this group.
            messages_max: How many may wait for the handler; more are dropped and reported to ``on_error``.
            bytes_max: Likewise in bytes.
            direct: Call the handler while the socket is read. It must await nothing but ``publish``: while it waits,
                nothing else arrives.

        Raises:
            BusUnavailable: If the session is closed.

        """
        try:
            subscription = await self._client.subscribe(
                subject, queue=queue, cb=handler, pending_msgs_limit=messages_max, pending_bytes_limit=bytes_max
            )
        except nats.errors.Error as error:
            raise BusUnavailable(self._urls, str(error)) from error
        if direct:
            self._client.shorten(subscription, handler)
        return Subscription(subscription)

    async def barrier(self, timeout_seconds: float = 5.0) -> None:
        """
        Wait until the server has seen all that we subscribed and published so far.

        Raises:
            BusUnavailable: If it does not answer in time.

        """
        try:
            async with asyncio.timeout(timeout_seconds):
                # While the library reconnects its flush returns at once, with nothing done, and it begins to do so
                # before it tells us.
                await self._up.wait()
                while not await self._flushed():
                    await asyncio.sleep(0.01)
                    await self._up.wait()
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise BusUnavailable(self._urls, str(error) or "no answer") from error

    async def _flushed(self) -> bool:
        await self._client.flush()
        return bool(self._client.is_connected)

    async def drain(self) -> None:
        """Handle what has arrived, send what waits, then close."""
        if self._client.is_closed or not self._client.is_connected:
            await self.close()
            return
        try:
            await self._client.drain()
        except (nats.errors.Error, OSError):
            await self.close()

    async def close(self) -> None:
        """Close now."""
        await self._client.close()


async def _proved(client: Client, connect: Awaitable[None]) -> None:
    # When a login takes seconds the library takes the server's PING for the end of it: only an answer to ours is.
    await connect
    await client.flush(CONNECT_TIMEOUT_SECONDS)


def _nonce_signer(key: SigningKey) -> Callable[[str], bytes]:
    def sign(nonce: str) -> bytes:
        if NONCE.fullmatch(nonce) is None:
            message = "the server asked for a signature over something that is no nonce"
            raise nats.errors.Error(message)
        return base64.b64encode(key.sign(nonce.encode()))

    return sign


async def _unless(refused: asyncio.Event, connect: Coroutine[Any, Any, None]) -> None:
    """Connect, but do not go on asking a server that refuses the login."""
    connecting = asyncio.ensure_future(connect)
    refusing = asyncio.ensure_future(refused.wait())
    try:
        await asyncio.wait((connecting, refusing), return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            raise nats.errors.AuthorizationError
        await connecting
    finally:
        refusing.cancel()
        connecting.cancel()


def _paced(servers: list[Server], _: dict[str, Any]) -> tuple[None, float]:
    """Exponential backoff with full jitter, so that a server that comes back is not overrun."""
    attempt = min(16, *(server.reconnects for server in servers))
    ceiling = min(RECONNECT_MAX_SECONDS, RECONNECT_WAIT_SECONDS * 2**attempt)
    return None, random.uniform(0, ceiling)  # noqa: S311 - spreads load, keeps no secret
