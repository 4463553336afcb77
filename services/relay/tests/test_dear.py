"""Envelopes that take long to read."""

from collections.abc import AsyncIterator

import pytest

from aiconexus.protocol.seal import Codec
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.context import Context

from .world import Agent, World

DEAR = [1e300 + number * 1e290 for number in range(2000)]
"""Small pieces, of which each is written anew to see whether the JSON is in its one form: tens of milliseconds."""


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Context[RelaySettings]]:
    """It takes five envelopes at once from a sender, and then one a second."""
    async with world.relay(sender_rate_per_second=1, sender_burst=5) as context:
        yield context


async def test_what_takes_long_to_read_uses_up_a_budget(
    relay: Context[RelaySettings], world: World, ann: Agent, bob: Agent
) -> None:
    """One such envelope is stored, and counts for many; the mail of others is taken as before."""
    stored = await ann.submit(ann.mail(bob, DEAR, codec=Codec.JSON))
    refused = await ann.refused(ann.mail(bob))

    assert "stored" == stored.status
    assert ("rate_limited", True) == (refused.problem, refused.retryable)
    assert "stored" == (await bob.submit(bob.mail(ann))).status
