import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from aiconexus.protocol.direct_errors import ConnectionFailed
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.mesh.edges import Edges

SECONDS = 10.0
OPENER_SECONDS = 0.2


class World:
    """Whom somebody called ``m`` can reach; it opens the edges to ``d``, ``y`` and ``z``, not that to ``a``."""

    def __init__(self, crew: Crew) -> None:
        self.open: set[str] = set()
        self.asked: list[str] = []
        self.failures = 0
        self.at_once = 0
        self.most_at_once = 0
        self.changed = asyncio.Event()
        self.edges = Edges(
            "m",
            connect=self.connect,
            close=self.close,
            is_open=self.open.__contains__,
            crew=crew,
            at_once=2,
            opener_seconds=OPENER_SECONDS,
        )

    async def connect(self, did: str) -> None:
        """Open a channel after a moment."""
        self.asked.append(did)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.failures:
            self.failures -= 1
            raise ConnectionFailed(did, "gathering", "no luck")
        self.meet(did)

    async def close(self, did: str) -> None:
        """Close one."""
        self.open.discard(did)
        self.edges.note(did)
        self.changed.set()

    def meet(self, did: str) -> None:
        """There is a channel."""
        self.open.add(did)
        self.edges.note(did)

    async def wait_complete(self) -> None:
        """Wait until nothing is missing."""
        async with asyncio.timeout(SECONDS):
            await self.edges.wait_complete()


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """Somebody, with the crew that works for it."""
    crashes: list[BaseException] = []
    crew = Crew(crashes.append)
    yield World(crew)
    await crew.close()

    assert [] == crashes


async def test_one_end_opens(world: World) -> None:
    """We open the channels that fall to us, and wait for the others."""
    world.edges.want(["a", "d", "y", "z"])
    waiting = asyncio.ensure_future(world.wait_complete())
    world.meet("a")
    await waiting

    assert ["d", "y", "z"] == sorted(world.asked)
    assert 2 == world.most_at_once


async def test_other_end_that_does_not_open_is_not_waited_for_ever(world: World) -> None:
    """It may not have heard that the edge is wanted, and nobody could tell it without a channel."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    world.edges.want(["a", "d"])
    await world.wait_complete()

    assert ["d", "a"] == world.asked
    assert OPENER_SECONDS <= loop.time() - began


async def test_failed_attempt_is_made_again(world: World) -> None:
    """Until there is a channel."""
    world.failures = 2
    world.edges.want(["d"])
    await world.wait_complete()

    assert ["d", "d", "d"] == world.asked


async def test_lost_channel_is_opened_again(world: World) -> None:
    """As long as it is wanted."""
    world.edges.want(["d"])
    await world.wait_complete()
    await world.close("d")
    await world.wait_complete()

    assert ["d", "d"] == world.asked


async def test_what_nobody_wants_is_closed(world: World) -> None:
    """Once what took its place is open; what others opened is theirs to close."""
    world.edges.want(["a", "d", "y"])
    world.meet("a")
    await world.wait_complete()
    world.edges.want(["y", "z"])
    async with asyncio.timeout(SECONDS):
        await world.changed.wait()

    assert {"a", "y", "z"} == world.open
    assert set() == world.edges.missing


async def test_what_is_wanted_again_stays(world: World) -> None:
    """A change of mind costs nothing."""
    world.edges.want(["d"])
    await world.wait_complete()
    world.edges.want([])
    world.edges.want(["d"])
    await world.wait_complete()

    assert ["d"] == world.asked
