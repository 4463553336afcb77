import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiconexus.runtime.context import Context
from aiconexus.signaling.settings import SignalingSettings

from .world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A server with all accounts, identity's buckets, and an edge; no signaling yet."""
    async with World(tmp_path / "nats") as world:
        yield world


@pytest.fixture
async def signaling(world: World) -> AsyncIterator[Context[SignalingSettings]]:
    """One replica at work."""
    async with world.signaling() as context:
        yield context


@pytest.fixture
def free_port() -> int:
    """Where nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
