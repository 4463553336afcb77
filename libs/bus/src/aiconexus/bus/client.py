"""
The NATS client library with its defects mended, and a short way for hot subscriptions.

Each override says what the library does wrong; ``session`` is what the rest of the project sees.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
import nats.errors
from nats.aio.client import Client, Srv
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

from aiconexus.bus.sockets import notice_silence
from aiconexus.bus.wire import MessageParser, headers_of, publication

LOGIN_ERRORS = (
    "authentication expired",
    "authentication revoked",
    "authentication timeout",
    "authorization violation",
    "maximum connections",
    "server shutdown",
)


class Incoming(Protocol):
    """What arrives on a subscription."""

    subject: str
    reply: str
    data: bytes

    @property
    def headers(self) -> Mapping[str, str] | None:
        """NATS headers, if there are any."""


class Message(msgspec.Struct, gc=False):
    """What arrives on the short way."""

    subject: str
    reply: str
    data: bytes
    headers: Mapping[str, str] | None


Handler = Callable[[Incoming], Awaitable[None]]


class HealingClient(Client):
    """nats-py 2.16 with its defects mended; for ``session`` alone."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = MessageParser(self)
        self._direct: dict[int, Handler] = {}

    async def _connect_to_server(self, s: Srv) -> None:
        # The library sets no option of the socket: over a path that died it waits for as long as the system does.
        await super()._connect_to_server(s)
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:  # noqa: SLF001 - shows it nowhere else
            notice_silence(self._transport._io_writer.get_extra_info("socket"))  # noqa: SLF001 - likewise

    async def _send_ping(self, future: "asyncio.Future[bool] | None" = None) -> None:
        # The library writes PING to the socket at once, before queued SUB and PUB: its flush is no barrier.
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(b"PING\r\n")
        await self._flush_pending()

    def shorten(self, subscription: Subscription, handler: Handler) -> None:
        """Have a handler called while the socket is read, without a queue and a task between them."""
        self._direct[subscription._id] = handler  # noqa: SLF001 - what the server calls it

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        handler = self._direct.get(sid)
        if handler is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type] # it takes None
            return
        try:
            await handler(Message(subject.decode(), reply.decode(), data, headers_of(headers) if headers else None))
        except Exception as error:  # noqa: BLE001 - a handler must not end the reading, as in the library itself
            await self._error_cb(error)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._direct.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return headers_of(headers) if headers else None

    async def hand_over(self, subject: str, data: bytes, reply: str, headers: Mapping[str, str] | None) -> None:
        """Publish, by the short way whenever there is a server."""
        if not self.is_connected or len(data) > self.max_payload or self._flush_queue is None:
            await self.publish(subject, data, reply, dict(headers) if headers else None)
            return
        await self._send_command(publication(subject, data, reply, headers))
        if self._flush_queue.empty():
            await self._flush_pending()

    async def _process_pong(self) -> None:
        # A flush that timed out leaves a cancelled future behind; the late PONG would end the library's read loop.
        self._pings_outstanding = 0
        if self._pongs and not (future := self._pongs.pop(0)).done():
            future.set_result(True)

    async def _read_loop(self) -> None:
        # Whatever ends the library's read loop, a connection that nobody reads must be replaced.
        await super()._read_loop()
        if self.is_connected:
            await self._process_op_err(nats.errors.StaleConnectionError())

    async def _process_err(self, err_msg: str) -> None:
        # The library closes for good when a login expires or is revoked; a new login may well succeed.
        if self.is_connected and any(text in err_msg for text in LOGIN_ERRORS):
            error = nats.errors.Error(f"nats: {err_msg}")
            await self._error_cb(error)
            await self._process_op_err(error)
            return
        await super()._process_err(err_msg)
