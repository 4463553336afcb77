from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.context import Context

from .world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server with all accounts, identity's buckets, and an edge; no relay yet."""
    async with World(tmp_path / "nats") as world:
        yield world


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Context[RelaySettings]]:
    """One replica at work."""
    async with world.relay() as context:
        yield context
