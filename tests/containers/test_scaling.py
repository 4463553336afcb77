"""More of a service, fewer of it, and none of anything."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.containers.composed import Composed, is_healthy, remains

from aiconexus.sdk import Agent, Identity

pytestmark = pytest.mark.containers

STORED = "aiconexus_relay_envelopes_stored_total"
MAIL = 60
SECONDS = 15.0


@pytest.fixture
def small(swept: None, composed: Composed, tmp_path: Path) -> Iterator[Composed]:
    """Another set, which holds the bus and a relay only and shares the images of the first."""
    small = Composed(tmp_path / "home", "small")
    try:
        yield small
    finally:
        small.down()


def stored_by(composed: Composed, index: int) -> float:
    """How many envelopes a relay put into mailboxes."""
    families = text_string_to_metric_families(composed.metrics("relay", index))
    return sum(sample.value for family in families for sample in family.samples if sample.name == STORED)


async def exchange(composed: Composed) -> None:
    """Have an agent send mail to itself."""
    async with Agent(Identity.generate(), composed.endpoints.nats, connect_timeout=SECONDS) as alice:
        alice.on("MESSAGE")(lambda _: None)
        for sent in [await alice.send(alice.did, number) for number in range(MAIL)]:
            await sent.wait_processed(SECONDS)


async def test_relays_come_and_go(composed: Composed) -> None:
    """A second relay takes its share of the mail, and when it leaves again the first does it all."""
    await composed.until_healthy()
    await asyncio.to_thread(composed.up, relay=2)
    both = composed.containers("relay")
    await exchange(composed)
    shares = [stored_by(composed, index) for index in (1, 2)]
    await asyncio.to_thread(composed.up, relay=1)
    await exchange(composed)

    assert [True, True] == [is_healthy(container) for container in both]
    assert min(shares) > 0
    assert 1 == len(composed.containers("relay"))
    assert stored_by(composed, 1) >= shares[0] + MAIL


def test_down_leaves_nothing(small: Composed) -> None:
    """With its volumes a set goes without a trace."""
    small.up("relay")
    during = remains(small.project)
    small.down()

    assert (2, 2, 2) == (len(during["container"]), len(during["network"]), len(during["volume"]))
    assert {"container": [], "network": [], "volume": []} == remains(small.project)
