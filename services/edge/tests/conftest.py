"""One platform without an edge for all tests here; each test starts the edges that it needs."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aiconexus.cli.testing import logged_platform

from .world import Agents, Edge, World


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Bus, identity and relay."""
    async with logged_platform(tmp_path_factory.mktemp("edge"), services=("identity", "relay", "signaling")) as running:
        yield World(running)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def edge(world: World) -> AsyncIterator[Edge]:
    """An edge as it is by default, for tests that leave it as it was."""
    async with world.edge() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def agents() -> AsyncIterator[Agents]:
    """Makes agents."""
    async with Agents() as made:
        yield made
