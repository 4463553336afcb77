"""Agents of the SDK inside a test: opened on any road, closed at its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.integration.processes import dialects

from aiconexus.cli.platform import Platform
from aiconexus.sdk import Agent, Delivery, Identity

SECONDS = 15.0
"""No test here needs longer for one step, on a busy machine."""

PAIRS = (("nats", "nats"), ("binary", "binary"), ("text", "text"), ("nats", "text"), ("text", "nats"))


class Host:
    """
    Makes agents.

    Args:
        platform: Where they live.
        folder: Of their keys.

    """

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._ways = dialects(platform.endpoints())
        self._folder = folder
        self._stack = AsyncExitStack()

    def make(self, dialect: str = "nats", label: str = "", **options: Any) -> Agent:
        """An agent that is not started; the same label is the same identity."""
        url, subprotocol = self._ways[dialect]
        identity = Identity.load_or_create(self._folder / f"{label}.key") if label else Identity.generate()
        return Agent(identity, options.pop("url", url), subprotocol=subprotocol, **options)

    async def open(self, agent: Agent) -> Agent:
        """Start it, and close it when the test ends."""
        async with asyncio.timeout(SECONDS):
            return await self._stack.enter_async_context(agent)

    async def close(self) -> None:
        """Close all of them."""
        await self._stack.aclose()


@asynccontextmanager
async def host_of(platform: Platform, folder: Path) -> AsyncIterator[Host]:
    """A host for the length of a block."""
    host = Host(platform, folder)
    try:
        yield host
    finally:
        await host.close()


async def gone(agent: Agent, watcher: Agent) -> None:
    """Close an agent, and wait until the platform has told another one that it is not there any more."""
    changes = watcher.watch([agent.did])
    async with asyncio.timeout(SECONDS):
        await anext(changes)
        await agent.close()
        while (await anext(changes)).online:
            pass


class Heard:
    """What a handler was given, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()

    async def handle(self, delivery: Delivery) -> None:
        """Be the handler."""
        self._queue.put_nowait(delivery)

    async def next(self) -> Delivery:
        """The next envelope."""
        async with asyncio.timeout(SECONDS):
            return await self._queue.get()

    async def contents(self, count: int) -> list[Any]:
        """What the next ones say."""
        return [(await self.next()).content for _ in range(count)]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty()


def listening(agent: Agent, type_: str = "MESSAGE") -> Heard:
    """Have an agent's envelopes of a type written down."""
    heard = Heard()
    agent.on(type_)(heard.handle)
    return heard


async def until(condition: Callable[[], bool], changed: asyncio.Event) -> None:
    """Wait until something is so; whatever may make it so sets the event."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            changed.clear()
            await changed.wait()


async def within(event: asyncio.Event) -> None:
    """Wait for something that must happen."""
    async with asyncio.timeout(SECONDS):
        await event.wait()
