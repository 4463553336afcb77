"""
Agents without the SDK, which say anything, on both roads: a connection, a key, and bytes.

What is hostile about them is in the tests; here is only how bytes get to the platform and what comes back.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import new_key
from aiconexus.edge.testing import ANSWER_SECONDS, BINARY, FRAME_MAX_BYTES, SocketAgent
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Error, PlatformInfo, Register, Registered
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Letter, compose, unseal


def sealed(key: SigningKey, body: Body, to: str | None, **fields: Any) -> bytes:
    """An honest envelope, unless the fields make it another; ``id_``, ``now_ms`` and ``codec`` may be given."""
    defaults: dict[str, Any] = {"id_": new_id(), "now_ms": now_ms()}
    return compose(body, key, to, **(defaults | fields))


class NativeStranger:
    """
    A NATS client that logged in with its key.

    Args:
        key: Its own.
        session: Its connection.
        complaints: What the server complained about.
        gone: Set when the connection was lost.

    """

    def __init__(
        self, key: SigningKey, session: Session, complaints: "asyncio.Queue[Exception]", gone: asyncio.Event
    ) -> None:
        self.key = key
        self.session = session
        self.complaints = complaints
        self.gone = gone
        self.services: dict[str, str] = {}

    async def ask(
        self, service: str, verb: str, data: bytes, headers: dict[str, str] | None = None, token: str = ""
    ) -> Letter:
        """Publish bytes on the own send subject, or on that of ``token``, and await the answer."""
        subject = subjects.send(token or self.key.token, service, verb)
        answer = await self.session.request(subject, data, timeout_seconds=ANSWER_SECONDS, headers=headers)
        return unseal(answer.data, REPLY_MAX_BYTES)

    async def tell(self, service: str, verb: str, data: bytes, reply: str) -> None:
        """Publish bytes on the own send subject and have the answer go elsewhere."""
        await self.session.publish(subjects.send(self.key.token, service, verb), data, reply=reply)

    async def say(self, body: Body, to: str, verb: str = "submit", **fields: Any) -> Letter:
        """Say something to an agent, in order."""
        return await self.ask("relay", verb, sealed(self.key, body, to, **fields))

    async def register(self, **fields: Any) -> Letter:
        """Register in order."""
        body = Register(public_key=key_text_of(self.key.did), **fields)
        return await self.ask("identity", "register", sealed(self.key, body, self.services["identity"]))

    async def hear(self, subject: str) -> "asyncio.Queue[Incoming]":
        """Listen to a subject; what arrives is put into the queue."""
        heard: asyncio.Queue[Incoming] = asyncio.Queue()

        async def put(incoming: Incoming) -> None:
            heard.put_nowait(incoming)

        await self.session.subscribe(subject, put)
        await self.session.barrier()
        return heard


@asynccontextmanager
async def native(url: str, key: SigningKey | None = None, *, register: bool = True) -> AsyncIterator[NativeStranger]:
    """A stranger on NATS."""
    key = key or new_key()
    complaints: asyncio.Queue[Exception] = asyncio.Queue()
    gone = asyncio.Event()
    session = await Session.connect(
        [url],
        key,
        name=key.did,
        inbox_prefix=subjects.inbox_replies(key.token),
        forever=False,
        on_error=complaints.put_nowait,
        on_down=gone.set,
    )
    try:
        stranger = NativeStranger(key, session, complaints, gone)
        platform = (await stranger.ask("identity", "platform", b"")).body
        assert isinstance(platform, PlatformInfo)
        stranger.services = platform.services
        if register:
            assert isinstance((await stranger.register()).body, Registered)
        yield stranger
    finally:
        await session.close()


class Told(NamedTuple):
    """The problems that an edge reported, and the code with which it closed."""

    problems: set[str]
    code: int


class SocketStranger(SocketAgent):
    """A WebSocket to an edge."""

    async def send_raw(self, data: bytes) -> None:
        """Send any bytes as a frame of the subprotocol's kind."""
        if self.codec is Codec.MSGPACK:
            await self.socket.send_bytes(data)
        else:
            await self.socket.send_str(data.decode(errors="replace"))

    async def told(self) -> "Told":
        """Read until the edge closes."""
        problems: set[str] = set()
        async with asyncio.timeout(ANSWER_SECONDS):
            async for message in self.socket:
                body = self.read(message.data).body
                if isinstance(body, Error):
                    problems.add(body.problem)
        return Told(problems, self.socket.close_code or 0)


@asynccontextmanager
async def websocket(
    url: str,
    key: SigningKey | None = None,
    *,
    protocol: str = BINARY,
    register: bool = True,
    receive_buffer: int = 0,
) -> AsyncIterator[SocketStranger]:
    """A stranger on an edge; ``receive_buffer`` makes the kernel take no more than so many bytes for it."""
    key = key or new_key()
    connector = aiohttp.TCPConnector(socket_factory=_small(receive_buffer)) if receive_buffer else None
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(url, protocols=[protocol], max_msg_size=FRAME_MAX_BYTES) as socket,
    ):
        stranger = SocketStranger(key, socket)
        await stranger.greet()
        if register:
            answer = await stranger.exchange(stranger.registration())
            assert isinstance(answer.body, Registered), answer.body
        yield stranger


def _small(receive_buffer: int) -> Callable[[Any], socket.socket]:
    def make(address: Any) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        return made

    return make
