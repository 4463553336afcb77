"""What an agent knows of the others."""

import asyncio

import pytest
from libs.sdk.tests.wire import SECONDS, Wire, serving

from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import AgentCard
from aiconexus.protocol.seal import Codec
from aiconexus.sdk import Agent, Identity

BOB = new_key().did


@pytest.mark.parametrize("codec", Codec)
async def test_card_that_was_seen_tells_what_its_owner_reads(codec: Codec) -> None:
    """Whose card the application or presence has fetched is not asked about once more before the first envelope."""
    async with serving(Wire()) as wire, Agent(Identity.generate(), wire.url) as agent:
        wire.cards = {BOB: AgentCard(did=BOB, codecs=(codec,))}
        async with asyncio.timeout(SECONDS):
            await agent.resolve(BOB)
            await agent.send(BOB, "hello", timeout=0)
            letter = await wire.submitted.get()

    assert codec == letter.sealed.codec
    assert [(BOB,)] == wire.asked
