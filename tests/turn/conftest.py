"""A coturn for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.turn.coturn import DENIED, Coturn, lacking


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why nothing of this folder can run here."""
    if reason := lacking():
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def coturn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Coturn]:
    """A TURN server on the loopback, with the denied peers of production."""
    denied = [f"denied-peer-ip={span}" for span in DENIED]
    async with Coturn(
        tmp_path_factory.mktemp("coturn"), options=["user-quota=20", "total-quota=200", *denied]
    ) as server:
        yield server
