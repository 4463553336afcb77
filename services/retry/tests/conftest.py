from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .world import Agent, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server, and nobody at work yet."""
    async with World(tmp_path) as world:
        yield world


@pytest.fixture
async def alice(world: World) -> Agent:
    """Who sends."""
    return await world.agent()


@pytest.fixture
async def services(world: World) -> AsyncIterator[None]:
    """A relay and one replica of retry."""
    async with world.relay(), world.retry():
        yield
