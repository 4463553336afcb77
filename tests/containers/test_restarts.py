"""What is left of mail and traffic when containers go down and come back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.containers.composed import Composed
from tests.integration.checker import Event
from tests.integration.processes import dialects, traffic

from aiconexus.sdk import Agent, Delivery, Identity

pytestmark = pytest.mark.containers

SECONDS = 45.0
MAIL = 20


@pytest_asyncio.fixture
async def two_relays(composed: Composed) -> AsyncIterator[Composed]:
    """The set with two relays."""
    await composed.until_healthy()
    await asyncio.to_thread(composed.up, relay=2)
    yield composed
    await composed.until_healthy()
    await asyncio.to_thread(composed.up, relay=1)


@pytest.mark.parametrize("dialect", ["nats", "binary", "text"])
async def test_mail_survives_a_restart_of_nats_and_relay(composed: Composed, workshop: Path, dialect: str) -> None:
    """Mail for an agent that is away is there when it comes back, though all that kept it was started anew."""
    ways = dialects(composed.endpoints)
    identity = Identity.load_or_create(workshop / "bob.key")

    def agent(name: Identity, way: str) -> Agent:
        return Agent(name, ways[way][0], subprotocol=ways[way][1], connect_timeout=SECONDS)

    heard: list[Any] = []
    async with agent(identity, dialect):
        pass
    async with agent(Identity.generate(), "nats") as alice:
        sent = [await alice.send(identity.did, number) for number in range(MAIL)]
        await asyncio.to_thread(composed.run, "restart", "nats", "relay")
        sent.append(await alice.send(identity.did, MAIL, timeout=SECONDS))
        bob = agent(identity, dialect)

        @bob.on("MESSAGE")
        async def note(delivery: Delivery) -> None:
            heard.append(delivery.content)

        async with bob:
            await asyncio.gather(*(one.wait_processed(SECONDS) for one in sent))

    assert list(range(MAIL + 1)) == heard


async def test_traffic_survives_the_death_of_a_relay(two_relays: Composed, workshop: Path) -> None:
    """One of two relays is killed in the middle: nothing is lost, doubled or out of order, and it comes back."""
    async with traffic(two_relays.endpoints, workshop) as running:
        await running.grow(Event.ACCEPTED, 100)
        life = await asyncio.to_thread(two_relays.kill, "relay", 2)
        await running.grow(Event.ACCEPTED, 200)
        await two_relays.until_restarted("relay", life, 2)
        await running.grow(Event.ACCEPTED, 50)
        verdict = await running.settle()

    assert {} == verdict.violations
    assert verdict.accepted == verdict.attempted == verdict.processed
