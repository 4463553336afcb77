"""A coturn for the tests of this folder, and a platform that knows it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.sdk_agents import Host, host_of
from tests.skipping import skip_without
from tests.turn.coturn import DENIED, SECRET, Coturn, lacking

from aiconexus.cli.platform import Platform


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why nothing of this folder can run here."""
    skip_without(lacking, Path(__file__).parent, items)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def coturn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Coturn]:
    """A TURN server on the loopback, with the denied peers of production."""
    denied = [f"denied-peer-ip={span}" for span in DENIED]
    async with Coturn(
        tmp_path_factory.mktemp("coturn"), options=["user-quota=20", "total-quota=200", *denied]
    ) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(coturn: Coturn, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform whose signaling knows the TURN server."""
    home = tmp_path_factory.mktemp("platform")
    secret = home / "turn-secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    settings = {
        "AICONEXUS_SIGNALING_TURN_URLS": coturn.url("udp"),
        "AICONEXUS_SIGNALING_TURN_SECRET_FILE": str(secret),
    }
    async with Platform(home / "home", services=("identity", "relay", "signaling"), settings=settings) as platform:
        yield platform


@pytest_asyncio.fixture(loop_scope="module")
async def host(platform: Platform, tmp_path: Path, coturn: Coturn) -> AsyncIterator[Host]:
    """Makes agents, which trust the TURN server's certificate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(coturn.authority))
        async with host_of(platform, tmp_path) as host:
            yield host
