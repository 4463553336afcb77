"""One WebSocket: who is on it, what waits to be written to it, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import WSMessage, WSMsgType, web

from aiconexus.bus.session import Subscription
from aiconexus.edge.dialects import Dialect
from aiconexus.edge.limits import Strikes, TokenBucket
from aiconexus.edge.outbox import Outbox
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol.closing import REASONS, Close

REASON_MAX_BYTES = 123
"""RFC 6455 section 5.5: a control frame holds 125 bytes, two of them are the code."""
FLUSH_SECONDS = 1.0
ABNORMAL = 1006
"""RFC 6455 section 7.4.1: gone without a close frame."""


class Connection:
    """
    A live WebSocket.

    ``did`` and ``token`` are empty until the agent has proved its key; it is registered when identity has agreed. All
    of its frames are read, and its end is carried out, by the one task that serves it; anybody may ``end`` it.

    Args:
        socket: Prepared.
        transport: Below it.
        dialect: The subprotocol that was agreed on.
        session: The name of this connection for everybody.
        nonce: Of its CHALLENGE.
        settings: Of the edge.

    """

    __slots__ = (
        "_room",
        "_scope",
        "_socket",
        "_transport",
        "bucket",
        "dialect",
        "did",
        "ending",
        "frames_read",
        "in_flight",
        "is_attached",
        "is_doubted",
        "is_leaving",
        "is_paused",
        "is_registered",
        "last_stored",
        "nonce",
        "outbox",
        "pinged",
        "registration",
        "seen",
        "session",
        "settings",
        "since",
        "strikes",
        "subscription",
        "token",
    )

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        dialect: Dialect,
        *,
        session: str,
        nonce: str,
        settings: EdgeSettings,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._scope: asyncio.Timeout | None = None
        self._room: asyncio.Future[None] | None = None
        self.dialect = dialect
        self.session = session
        self.nonce = nonce
        self.settings = settings
        self.did = ""
        self.token = ""
        self.registration = b""
        """The agent's sealed REGISTER."""
        self.is_attached = False
        """Whether identity may know of it."""
        self.is_registered = False
        self.is_doubted = False
        """Whether a TAKEOVER came before it was registered: it may be older or newer than the registration."""
        self.bucket: TokenBucket | None = None
        self.strikes = Strikes(settings.strikes_max, settings.strikes_seconds)
        self.subscription: Subscription | None = None
        self.outbox = Outbox(
            socket.send_frame,
            self._on_slow,
            messages_max=settings.outgoing_max_messages,
            bytes_max=settings.outgoing_max_bytes,
        )
        self.is_leaving = False
        """Whether the agent has asked identity to forget it."""
        self.in_flight = 0
        self.is_paused = False
        """Whether it is us who do not read."""
        self.last_stored = b""
        """The signature of the last RECEIPT from relay, which answers several requests with the same bytes."""
        self.frames_read = 0
        self.since = self.seen = asyncio.get_running_loop().time()
        self.pinged = 0.0
        self.ending: tuple[int, str] | None = None
        """Close code and reason, once it is decided that it ends."""

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """A block that is left when the connection is to end, or has not registered in time."""
        try:
            async with asyncio.timeout(self.settings.connection_timeout_seconds) as self._scope:
                yield
        except TimeoutError:
            self.ending = self.ending or (Close.NOT_REGISTERED, REASONS[Close.NOT_REGISTERED])
        finally:
            self._scope = None

    def register(self, answer: bytes) -> None:
        """
        Write what identity answered, and last until somebody ends it.

        Raises:
            EnvelopeError: If the answer is no sealed envelope.

        """
        self.outbox.open(self.dialect.write(answer), self.dialect.kind)
        self.is_registered = True
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(None)

    def end(self, close: Close, reason: str = "") -> None:
        """Have it closed, with the code's own reason unless there is a better one."""
        if self.ending is not None:
            return
        self.ending = (close, reason or REASONS[close])
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(0)

    def push(self, data: bytes) -> None:
        """
        Write a sealed envelope that is no mail.

        Raises:
            EnvelopeError: If it is none.

        """
        self.outbox.put(self.dialect.write(data), self.dialect.kind)

    def ping(self, now: float) -> None:
        """Ask for a sign of life."""
        self.pinged = now
        self.outbox.put(b"", WSMsgType.PING)

    async def say(self, data: bytes) -> None:
        """Write a sealed envelope at once: before it is registered, nothing waits in line."""
        await self._socket.send_frame(self.dialect.write(data), self.dialect.kind)

    async def read(self) -> bytes | None:
        """The next frame of the agent; None if there is none any more."""
        while True:
            message = await self._socket.receive()
            self.seen = asyncio.get_running_loop().time()
            if message.type is self.dialect.kind:
                self.frames_read += 1
                data: bytes = message.data
                return data
            if message.type in (WSMsgType.PING, WSMsgType.PONG):
                self._pace()
                if message.type is WSMsgType.PING:
                    self.outbox.put(message.data, WSMsgType.PONG)
            else:
                self._note_close(message)
                return None

    async def wait_for_room(self) -> None:
        """Wait until fewer requests than the bound are unanswered."""
        while self.in_flight >= self.settings.requests_max:
            self.is_paused = True
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self.is_paused = False

    async def rest(self, seconds: float) -> None:
        """Leave the agent's frames where they are for a while."""
        self.is_paused = True
        await asyncio.sleep(seconds)
        self.is_paused = False

    def answered(self) -> None:
        """One request less is unanswered."""
        self.in_flight -= 1
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def close(self) -> None:
        """Carry out the end: write what waits, close with code and reason, cut off who does not answer."""
        code, reason = self.ending or (Close.NORMAL, REASONS[Close.NORMAL])
        hears = code not in (Close.SLOW_READER, Close.SILENT)
        await self.outbox.close(FLUSH_SECONDS if hears and not self._socket.closed else 0)
        try:
            await self._socket.close(code=code, message=_fitted(reason), drain=False)
        finally:
            if self._transport is not None:
                # A transport with unsent bytes would otherwise wait for its reader for ever.
                asyncio.get_running_loop().call_later(self.settings.close_seconds, self._transport.abort)

    def _on_slow(self) -> None:
        self.end(Close.SLOW_READER)

    def _pace(self) -> None:
        if self.bucket is not None and self.bucket.take(self.seen):
            self.end(Close.TOO_FAST)

    def _note_close(self, message: WSMessage) -> None:
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self.end(Close.MALFORMED, f"{self.dialect.name} has {self.dialect.kind.name} frames only")
        elif self.ending is None:
            self.ending = (self._socket.close_code or ABNORMAL, "")


def _fitted(reason: str) -> bytes:
    return reason.encode()[:REASON_MAX_BYTES].decode(errors="ignore").encode()
