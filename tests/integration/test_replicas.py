"""Two of every service: when one of them dies without a word, the other goes on, and nothing is lost or doubled."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.checker import Event
from tests.integration.processes import PAUSE_MAX_SECONDS, Traffic, traffic

from aiconexus.cli.platform import Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORM = {"scale": {"identity": 2, "relay": 2, "edge": 2}}
SOME = 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(platform: Platform, workshop: Path) -> AsyncIterator[Traffic]:
    """Mail between all dialects."""
    async with traffic(platform.endpoints(), workshop) as running:
        yield running


@pytest.mark.parametrize("part", ["relay", "identity", "relay-2", "identity-2", "edge-2"])
async def test_other_replica_goes_on(platform: Platform, running: Traffic, part: str) -> None:
    """While one replica is dead, mail is accepted and processed as before, with a short pause at most."""
    await running.grow(Event.HANDLED, SOME)
    await platform.kill(part)
    await running.grow(Event.PROCESSED, 2 * SOME)
    verdict = await running.settle()
    await platform.restart(part)
    running.resume()

    assert {} == verdict.violations
    assert verdict.attempted == verdict.processed
    assert PAUSE_MAX_SECONDS > max(verdict.producer_gap_seconds, verdict.consumer_gap_seconds)
