from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconexus.identity.settings import IdentitySettings
from aiconexus.runtime.context import Context

from .world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server with all accounts, and nobody at it yet."""
    async with World(tmp_path / "nats") as world:
        yield world


@pytest.fixture
async def identity(world: World) -> AsyncIterator[Context[IdentitySettings]]:
    """One replica at work."""
    async with world.identity() as context:
        yield context
