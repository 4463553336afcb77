import asyncio

import pytest

from aiconexus.protocol.bodies import Message, Policy, Receipt
from aiconexus.protocol.seal import unseal
from aiconexus.protocol.signal_bodies import IceCandidate, Offer
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.context import Context

from .world import Agent, World

pytestmark = pytest.mark.usefixtures("relay")


async def test_a_live_envelope_reaches_who_is_connected(world: World, ann: Agent, bob: Agent) -> None:
    """The recipient gets the bytes, the sender a receipt that says delivered, and no mailbox keeps anything."""
    await world.connect(bob)
    heard = await bob.hear("live")
    offer = ann.sealed(Offer(sdp="v=0"), bob.did)
    answer = (await ann.request("forward", offer)).body
    assert isinstance(answer, Receipt)

    assert [(item.id, item.status) for item in answer.items] == [(unseal(offer).envelope.id, "delivered")]
    assert (await asyncio.wait_for(heard.get(), 5)).data == offer
    assert (await bob.fetch()).items == ()


async def test_a_candidate_does_not_overtake_its_offer(world: World, ann: Agent, bob: Agent) -> None:
    """Live envelopes of one sender arrive in the order in which they were sent."""
    await world.connect(bob)
    heard = await bob.hear("live")
    sent = [ann.sealed(Offer(sdp="v=0"), bob.did)]
    sent += [ann.sealed(IceCandidate(candidate=str(number)), bob.did) for number in range(10)]
    await asyncio.gather(*(ann.request("forward", data) for data in sent))

    assert [heard.get_nowait().data for _ in range(heard.qsize())] == sent


async def test_nobody_there_is_said_at_once(ann: Agent, bob: Agent) -> None:
    """An offer to somebody who is offline is worthless tomorrow, so it is refused today."""
    error = await ann.refused(ann.sealed(Offer(sdp="v=0"), bob.did), "forward")

    assert (error.problem, error.retryable) == ("unknown_agent", False)
    assert "offline" in error.message


async def test_what_is_forwarded_passes_the_same_checks(world: World, ann: Agent, bob: Agent) -> None:
    """Foreign, stored, stale and repeated envelopes and unlisted callers are refused."""
    await world.connect(bob)
    private = await world.agent(policy=Policy.LISTED)
    await world.connect(private)
    once = ann.sealed(Offer(sdp="v=0"), bob.did)
    await ann.request("forward", once)
    problems = [
        (await ann.refused(data, "forward")).problem
        for data in (
            bob.sealed(Offer(sdp="v=0"), ann.did),
            ann.sealed(Message(content=1), bob.did),
            ann.sealed(Offer(sdp="v=0"), bob.did, now_ms=1),
            once,
            ann.sealed(Offer(sdp="v=0"), private.did),
        )
    ]

    assert problems == ["foreign_sender", "unsupported_type", "stale", "replayed", "refused"]


class TestLimits:
    """A relay that takes two envelopes at once."""

    @pytest.fixture
    async def relay(self, world: World) -> object:
        """One replica."""
        async with world.relay(sender_rate_per_second=1, sender_burst=2) as context:
            yield context

    async def test_live_envelopes_cost_the_same_budget(
        self, relay: Context[RelaySettings], ann: Agent, bob: Agent
    ) -> None:
        """Nobody gets around the limit by the other verb."""
        await ann.submit(ann.mail(bob))
        await ann.submit(ann.mail(bob))
        error = await ann.refused(ann.sealed(Offer(sdp="v=0"), bob.did), "forward")

        assert error.problem == "rate_limited"
