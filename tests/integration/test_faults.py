"""
SIGKILL of everything, one after the other, while three senders write to three recipients in every dialect.

Whatever dies, what was accepted is processed, expired or dead in the end, once, in order, and its sender knows.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.checker import INTERRUPTED, Event, Verdict
from tests.integration.processes import Traffic, traffic

from aiconexus.cli.platform import Platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIALECTS = ("nats", "binary", "text")
SOME, MORE = 30, 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(platform: Platform, workshop: Path) -> AsyncIterator[Traffic]:
    """All nine pairs at work, for all tests of this module."""
    async with traffic(platform.endpoints(), workshop, work_seconds=0.002) as running:
        yield running


def check(verdict: Verdict) -> None:
    """Everything that was tried is accepted and has come to exactly one end, and no promise was broken."""
    assert {} == verdict.violations
    assert verdict.attempted == verdict.accepted
    assert verdict.accepted == verdict.processed + verdict.expired + verdict.dead


@pytest.mark.parametrize("part", ["relay", "edge", "identity", "retry", "nats"])
async def test_killed_part_loses_nothing(platform: Platform, running: Traffic, part: str) -> None:
    """A part of the platform dies without a word and comes back: nothing is lost, doubled, or out of order."""
    await running.grow(Event.HANDLED, SOME)
    await platform.kill(part)
    await running.grow(Event.ATTEMPTED, SOME)
    await platform.restart(part)
    await running.grow(Event.HANDLED, MORE)
    verdict = await running.settle()
    running.resume()

    check(verdict)


async def test_killed_platform_loses_nothing(platform: Platform, running: Traffic) -> None:
    """Everything but the agents dies in the same moment, bus included: what was accepted was on disk."""
    await running.grow(Event.HANDLED, SOME)
    parts = [part for part, pid in platform.pids.items() if pid is not None]
    await asyncio.gather(*(platform.kill(part) for part in parts))
    await running.grow(Event.ATTEMPTED, SOME)
    # The bus is the first of the parts.
    await platform.restart(parts[0])
    await asyncio.gather(*(platform.restart(part) for part in parts[1:]))
    await running.grow(Event.HANDLED, MORE)
    verdict = await running.settle()
    running.resume()

    assert "nats" == parts[0]
    check(verdict)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_killed_recipient_loses_nothing(running: Traffic, dialect: str) -> None:
    """A recipient dies in the middle of its work, twice: what it was at is dead, with that reason, the rest waits."""
    recipient = running.recipients[dialect]
    # Twice, because the first time all that was handled may have been acknowledged.
    for _ in range(2):
        await running.grow(Event.HANDLED, SOME)
        await recipient.kill()
        await running.grow(Event.ACCEPTED, SOME)
        await recipient.start()
    await running.grow(Event.HANDLED, MORE)
    verdict = await running.settle()
    running.resume()

    check(verdict)
    assert {INTERRUPTED} >= {line.problem for line in running.lines if line.event is Event.DEAD}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_killed_sender_loses_nothing(running: Traffic, dialect: str) -> None:
    """A sender dies: what it had accepted is on its way nevertheless, and its next life hears what became of it."""
    sender = running.senders[dialect]
    await running.grow(Event.ACCEPTED, SOME)
    await sender.kill()
    await running.grow(Event.HANDLED, SOME)
    await sender.start()
    await running.grow(Event.HANDLED, MORE)
    verdict = await running.settle()
    running.resume()

    assert {} == verdict.violations
