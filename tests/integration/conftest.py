"""One platform for each module, as processes on free ports, with everything that its parts say kept in a file."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.measuring import Meter
from tests.integration.peers_by_hand import Hand, by_hand
from tests.integration.processes import Traffic, traffic
from tests.integration.sdk_agents import Host, host_of
from tests.integration.signaling_played import Signaling, playing

from aiconexus.cli.platform import Platform
from aiconexus.cli.testing import logged_platform
from aiconexus.sdk import Agent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A running platform; a module says in ``PLATFORM`` what differs from the defaults."""
    options: dict[str, Any] = getattr(request.module, "PLATFORM", {})
    async with logged_platform(tmp_path_factory.mktemp("platform"), **options) as platform:
        yield platform


@pytest_asyncio.fixture(loop_scope="module")
async def host(platform: Platform, tmp_path: Path) -> AsyncIterator[Host]:
    """Makes agents, and closes them at the end of the test."""
    async with host_of(platform, tmp_path) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module")
async def alice(host: Host) -> Agent:
    """An agent, on NATS."""
    return await host.open(host.make())


@pytest_asyncio.fixture(loop_scope="module")
async def bob(host: Host) -> Agent:
    """Another one."""
    return await host.open(host.make())


@pytest_asyncio.fixture(loop_scope="module")
async def signaling(platform: Platform) -> AsyncIterator[Signaling]:
    """The signaling service, which is ours; for a module whose ``PLATFORM`` is without."""
    async with playing(platform) as signaling:
        yield signaling


@pytest_asyncio.fixture(loop_scope="module")
async def hand(host: Host, signaling: Signaling) -> AsyncIterator[Hand]:
    """An agent that speaks by hand."""
    hand = Hand(await host.open(host.make(direct=by_hand())))
    yield hand
    await hand.close()


@pytest.fixture
def meter(platform: Platform) -> Meter:
    """What the platform counts."""
    return Meter(platform)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the agents of a module keep their keys, their state and the test's journals."""
    return tmp_path_factory.mktemp("agents")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bystanders(platform: Platform, workshop: Path) -> AsyncIterator[Traffic]:
    """Honest agents on every road, at work while the tests of a module do their worst."""
    async with traffic(
        platform.endpoints(), workshop, senders=("nats", "text"), recipients=("binary",), per_second=20.0
    ) as running:
        yield running
