from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconexus.identity.settings import IdentitySettings
from aiconexus.runtime.context import Context

from .world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server with all accounts, and nobody at it yet."""
    world = World(tmp_path / "nats")
    await world.server.start()
    async with world.stack:
        yield world
    await world.server.stop()


@pytest.fixture
async def identity(world: World) -> AsyncIterator[Context[IdentitySettings]]:
    """One replica at work."""
    async with world.identity() as context:
        yield context
