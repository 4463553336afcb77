"""A real bus with real identity and relay as processes, edges in this process, and agents on real sockets."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import aiohttp
import msgspec
import psutil
from msgspec.structs import replace

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.session import Session
from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.edge.service import serve
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol import subjects, text
from aiconexus.protocol.bodies import Body, Challenge, MailItem, PlatformInfo, Presence, Register, Registered
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Letter, Sealed, compose, split, unseal
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.testing import Lines, context_of

BINARY, TEXT = "aiconexus.v1", "ioap.v1"
PATIENCE_SECONDS = 10.0


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A binary frame: with its place in the mailbox, if it comes from there."""

    codec: int
    payload: bytes
    signature: bytes
    sequence: int | None = None
    previous: int | None = None


class Edge(msgspec.Struct, frozen=True):
    """A running edge."""

    port: int
    instance: str
    health: Health

    @property
    def http(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    async def lets_go(self) -> None:
        """Wait until the kernel knows no connection of this edge any more."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.sockets():
                await asyncio.sleep(0.02)

    def sockets(self) -> int:
        """How many connections the kernel holds for this edge."""
        return sum(
            each.laddr.port == self.port and each.status != psutil.CONN_LISTEN
            for each in psutil.Process().net_connections("tcp")
        )


class World:
    """
    Everything around the edges of a test.

    Args:
        platform: Runs without an edge.

    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.key = platform.home.key("edge")
        self.names = Directory.load(str(platform.home.directory_file))

    @asynccontextmanager
    async def edge(self, **options: Any) -> AsyncIterator[Edge]:
        """An edge with these settings, in this process."""
        instance = secrets.token_hex(4)
        settings = EdgeSettings(seed=self.key.seed, directory_file="", port=0, instance=instance)
        session = await Session.connect(
            [self.platform.endpoints().nats],
            self.key,
            name=f"edge.{instance}",
            inbox_prefix=subjects.service_inbox("edge"),
        )
        lines = Lines()
        context = context_of(
            session,
            "edge",
            instance,
            replace(settings, **({"close_seconds": 0.5} | options)),
            key=self.key,
            directory=self.names,
            lines=lines,
        )
        try:
            async with serve(context):
                context.health.open_doors()
                (http,) = lines.of("edge.http_listening")
                yield Edge(http["port"], instance, context.health)
        finally:
            await session.close()


class Agent:
    """
    An agent on a WebSocket, that can be told to misbehave.

    Args:
        key: Its own.
        socket: Its connection.

    """

    def __init__(self, key: SigningKey, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.key = key
        self.socket = socket
        self.codec = Codec.JSON if socket.protocol == TEXT else Codec.MSGPACK
        self.nonce = ""
        self.services: dict[str, str] = {}
        self.place: Place | MailItem | None = None

    @property
    def did(self) -> str:
        """Its name."""
        return self.key.did

    async def greet(self) -> None:
        """Read the CHALLENGE."""
        challenge = (await self.next()).body
        assert isinstance(challenge, Challenge)
        platform = unseal(challenge.platform).body
        assert isinstance(platform, PlatformInfo)
        self.nonce, self.services = challenge.nonce, platform.services

    def registration(self, **fields: Any) -> bytes:
        """A REGISTER, with fields of the body replaced."""
        body = Register(**({"public_key": key_text_of(self.did), "challenge": self.nonce} | fields))
        return self.sealed(body, self.services["identity"])

    async def register(self, **fields: Any) -> Registered:
        """Come in."""
        answer = (await self.ask_raw(self.registration(**fields))).body
        assert isinstance(answer, Registered), answer
        return answer

    def sealed(self, body: Body, to: str | None, **fields: Any) -> bytes:
        """An envelope, honest unless the fields make it another."""
        defaults: dict[str, Any] = {"id_": new_id(), "now_ms": now_ms(), "codec": self.codec}
        return compose(body, fields.pop("key", self.key), to, **(defaults | fields))

    async def send(self, data: bytes) -> None:
        """Send sealed bytes in the form of the subprotocol."""
        if self.codec is Codec.MSGPACK:
            await self.socket.send_bytes(data)
        else:
            parts = split(data, REPLY_MAX_BYTES)
            await self.socket.send_str(text.frame_of(parts.payload, parts.signature).decode())

    async def say(self, body: Body, to: str, **fields: Any) -> None:
        """Say something."""
        await self.send(self.sealed(body, to, **fields))

    async def ask(self, body: Body, to: str, **fields: Any) -> Body:
        """Say something, and what comes next."""
        await self.say(body, to, **fields)
        return (await self.next()).body

    async def ask_raw(self, data: bytes) -> Letter:
        """Send sealed bytes, and what comes next."""
        await self.send(data)
        return await self.next()

    async def next(self) -> Letter:
        """The next envelope, verified."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self.socket.receive()
        assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
        return unseal(self._read(message.data), REPLY_MAX_BYTES)

    async def until(self, type_: str) -> Letter:
        """The next envelope of a type."""
        while (letter := await self.next()).envelope.type != type_:
            pass
        return letter

    async def gone(self) -> Presence:
        """The next PRESENCE of somebody who left; that they had come may still have been on the way."""
        while not isinstance(news := (await self.next()).body, Presence) or news.online:
            pass
        return news

    async def ending(self) -> tuple[int, str]:
        """The code and the reason with which the edge closes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (message := await self.socket.receive()).type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                pass
        # The library says 1006 if it could not answer a close that it did read.
        code = message.data if message.type is aiohttp.WSMsgType.CLOSE else self.socket.close_code
        return code or 0, str(message.extra or "")

    def _read(self, frame: bytes | str) -> Sealed:
        self.place = None
        if isinstance(frame, bytes):
            place = msgspec.msgpack.decode(frame, type=Place)
            self.place = place if place.sequence is not None else None
            return Sealed(place.codec, place.payload, place.signature)
        payload, signature, self.place = text.parts_of(frame, 4 * REPLY_MAX_BYTES)
        if not signature and self.place is not None:
            return Sealed(self.place.codec, self.place.payload, self.place.signature)
        return Sealed(Codec.JSON, payload, signature)


class Agents:
    """Makes agents, and ends their connections with the test."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def http(self) -> aiohttp.ClientSession:
        """For requests that open no WebSocket."""
        assert self._http is not None
        return self._http

    async def stranger(
        self, edge: Edge, protocol: str = BINARY, key: SigningKey | None = None, **options: Any
    ) -> Agent:
        """Somebody who was challenged, and has said nothing yet."""
        options = {"autoping": True, "max_msg_size": 4 * REPLY_MAX_BYTES} | options
        socket = await self._stack.enter_async_context(
            self.http.ws_connect(f"{edge.http}/ws", protocols=[protocol], **options)
        )
        agent = Agent(key or new_key(), socket)
        await agent.greet()
        return agent

    async def agent(
        self, edge: Edge, protocol: str = BINARY, key: SigningKey | None = None, fields: dict[str, Any] | None = None
    ) -> Agent:
        """Somebody who is registered."""
        agent = await self.stranger(edge, protocol, key)
        await agent.register(**(fields or {}))
        return agent
