from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconexus.bus.testing import running

from .world import Caller, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Three services and an agent, and the server that knows them."""
    world = World()
    async with running(tmp_path / "nats", world.config(tmp_path / "store")) as server:
        world.url = server.url
        yield world
        await world.close()


@pytest.fixture
async def alice(world: World) -> Caller:
    """An agent."""
    return Caller(world, await world.session("alice"), "alice")
