"""One site, one Chromium and one platform for each module; without Chromium everything here is skipped."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from tests.browser.chromium import lacking, started
from tests.browser.site import served
from tests.integration.sdk_agents import Host, host_of
from tests.skipping import skip_without

from aiconexus.cli.platform import Platform
from aiconexus.cli.testing import logged_platform


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why nothing of this folder can run here."""
    skip_without(lacking, Path(__file__).parent, items)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[str]:
    """Where the page is served; its origin."""
    async with served() as origin:
        yield origin


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A real browser."""
    async with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """What else the services of a module are told."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(
    site: str, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """A running platform whose edge serves pages of the site."""
    settings = {"AICONEXUS_EDGE_CORS_ORIGINS": site, **settings}
    async with logged_platform(tmp_path_factory.mktemp("platform"), settings=settings) as platform:
        yield platform


@pytest_asyncio.fixture(loop_scope="module")
async def host(platform: Platform, tmp_path: Path) -> AsyncIterator[Host]:
    """Makes Python agents, and closes them at the end of the test."""
    async with host_of(platform, tmp_path) as host:
        yield host


@pytest.fixture
def edge(platform: Platform) -> str:
    """The edge's URL."""
    return platform.endpoints().ws
