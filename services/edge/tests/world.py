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

from aiconexus.bus.session import Session
from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.edge.service import serve
from aiconexus.edge.settings import EdgeSettings
from aiconexus.edge.testing import BINARY, FRAME_MAX_BYTES, SocketAgent
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Presence, Registered
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Letter
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.testing import Lines, context_of

PATIENCE_SECONDS = 10.0


class Edge(msgspec.Struct, frozen=True):
    """A running edge."""

    port: int
    instance: str
    health: Health
    lines: Lines = msgspec.field(default_factory=Lines)

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
                yield Edge(http["port"], instance, context.health, lines)
        finally:
            await session.close()


class Agent(SocketAgent):
    """An agent, honest unless it is told to misbehave."""

    async def register(self, **fields: Any) -> Registered:
        """Come in."""
        answer = (await self.exchange(self.registration(**fields))).body
        assert isinstance(answer, Registered), answer
        return answer

    async def say(self, body: Body, to: str, **fields: Any) -> None:
        """Say something."""
        await self.send(self.sealed(body, to, **fields))

    async def ask(self, body: Body, to: str, **fields: Any) -> Body:
        """Say something, and what comes next."""
        await self.say(body, to, **fields)
        return (await self.next()).body

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
        options = {"autoping": True, "max_msg_size": FRAME_MAX_BYTES} | options
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
