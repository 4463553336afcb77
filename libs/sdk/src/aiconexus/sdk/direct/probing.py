"""
Which STUN and TURN servers answer from here: asked before the stack is, which would wait five seconds for silence.

A Binding request (RFC 8489) goes to each over the transport of its URL. It needs no login and takes no allocation.
"""

import asyncio
import ssl
from collections.abc import Callable

from aioice import stun

PROBE_SECONDS = 1.5
RESENT_AFTER_SECONDS = (0.2, 0.4, 0.8, 1.6)
HEADER_BYTES = 20


async def answers(scheme: str, host: str, port: int, transport: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether a server says anything to a Binding request within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            if transport == "udp":
                return await _over_udp(host, port)
            return await _over_stream(host, port, secure=scheme in ("turns", "stuns"))
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return False


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, is_answer: Callable[[bytes], bool]) -> None:
        self._is_answer = is_answer
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        if self._is_answer(data) and not self.answered.done():
            self.answered.set_result(True)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 - likewise
        if not self.answered.done():
            self.answered.set_result(False)


async def _over_udp(host: str, port: int) -> bool:
    request = _request()
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(
        lambda: _Listener(lambda data: _answers(data, request)), remote_addr=(host, port)
    )
    try:
        for pause in RESENT_AFTER_SECONDS:
            transport.sendto(bytes(request))
            done, _ = await asyncio.wait({listener.answered}, timeout=pause)
            if done:
                break
        return await listener.answered
    finally:
        transport.close()


async def _over_stream(host: str, port: int, *, secure: bool) -> bool:
    request = _request()
    reader, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context() if secure else None)
    try:
        writer.write(bytes(request))
        head = await reader.readexactly(HEADER_BYTES)
        rest = await reader.readexactly(int.from_bytes(head[2:4], "big"))
        return _answers(head + rest, request)
    finally:
        writer.transport.abort()


def _request() -> stun.Message:
    return stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)


def _answers(data: bytes, request: stun.Message) -> bool:
    """Whether it belongs to our request; a refusal is an answer, too."""
    try:
        return stun.parse_message(data).transaction_id == request.transaction_id
    except ValueError:
        return False
