import asyncio
import time

import msgspec
import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Session
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Error, Message, Policy, Receipt
from aiconexus.protocol.records import PRESENCE, REGISTRY, PresenceRecord, RegistryRecord
from aiconexus.protocol.seal import unseal
from aiconexus.protocol.signal_bodies import IceCandidate, Offer
from aiconexus.runtime.answers import Answers, counters_of
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.context import Context
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.roster import Roster
from aiconexus.runtime.testing import counted
from aiconexus.runtime.voice import Voice
from aiconexus.signaling.forward import Forwarder
from aiconexus.signaling.settings import SignalingSettings

from .world import Agent, World

pytestmark = pytest.mark.usefixtures("signaling")


async def test_a_live_envelope_reaches_who_is_connected(world: World, ann: Agent, bob: Agent) -> None:
    """The recipient gets the bytes, the sender a receipt that says delivered."""
    await world.connect(bob)
    heard = await bob.hear()
    offer = ann.sealed(Offer(sdp="v=0"), bob.did)
    answer = (await ann.request("forward", offer)).body
    assert isinstance(answer, Receipt)

    assert [(item.id, item.status) for item in answer.items] == [(unseal(offer).envelope.id, "delivered")]
    assert (await asyncio.wait_for(heard.get(), 5)).data == offer


async def test_a_candidate_does_not_overtake_its_offer(world: World, ann: Agent, bob: Agent) -> None:
    """Live envelopes of one sender arrive in the order in which they were sent."""
    await world.connect(bob)
    heard = await bob.hear()
    sent = [ann.sealed(Offer(sdp="v=0"), bob.did)]
    sent += [ann.sealed(IceCandidate(candidate=str(number)), bob.did) for number in range(10)]
    await asyncio.gather(*(ann.request("forward", data) for data in sent))

    assert [heard.get_nowait().data for _ in range(heard.qsize())] == sent


async def test_nobody_there_is_said_at_once(ann: Agent, bob: Agent) -> None:
    """An offer to somebody who is offline is worthless tomorrow, so it is refused today."""
    error = await ann.refused(ann.sealed(Offer(sdp="v=0"), bob.did))

    assert (error.problem, error.retryable) == ("unknown_agent", False)
    assert "offline" in error.message


async def test_who_has_just_left_is_not_there(world: World, ann: Agent, bob: Agent) -> None:
    """A record that was read a moment ago does not outlive the news that its agent is gone."""
    await world.connect(bob)
    answer = (await ann.request("forward", ann.sealed(Offer(sdp="v=0"), bob.did))).body
    assert isinstance(answer, Receipt)
    await world.disconnect(bob)

    error = await ann.refused(ann.sealed(Offer(sdp="v=0"), bob.did))
    assert "offline" in error.message


async def test_what_is_forwarded_passes_the_same_checks(world: World, ann: Agent, bob: Agent) -> None:
    """Foreign, stored, stale and repeated envelopes and unlisted callers are refused."""
    await world.connect(bob)
    private = await world.agent(policy=Policy.LISTED)
    await world.connect(private)
    once = ann.sealed(Offer(sdp="v=0"), bob.did)
    await ann.request("forward", once)
    problems = [
        (await ann.refused(data)).problem
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
    """A replica that takes two envelopes at once."""

    @pytest.fixture
    async def signaling(self, world: World) -> object:
        """One replica."""
        async with world.signaling(sender_rate_per_second=1, sender_burst=2) as context:
            yield context

    async def test_a_sender_has_a_budget(self, signaling: Context[SignalingSettings], ann: Agent, bob: Agent) -> None:
        """Who says more than its share is told when to go on."""
        problems = [(await ann.refused(ann.sealed(Offer(sdp="v=0"), bob.did))) for _ in range(3)]

        assert ["unknown_agent", "unknown_agent", "rate_limited"] == [error.problem for error in problems]
        assert 0 < (problems[-1].retry_after_ms or 0) <= 1_001

    async def test_who_goes_on_is_ignored(
        self, signaling: Context[SignalingSettings], world: World, ann: Agent, bob: Agent
    ) -> None:
        """Nobody has us sign refusals all day, and others are served all the while."""
        before = counted("aiconexus_signaling_envelopes_ignored_total")
        for _ in range(20):
            subject = subjects.send(ann.key.token, "signaling", "forward")
            await world.edge.publish(subject, ann.sealed(Offer(sdp="v=0"), bob.did))
        other = await bob.refused(bob.sealed(Offer(sdp="v=0"), ann.did))

        assert "unknown_agent" == other.problem
        assert counted("aiconexus_signaling_envelopes_ignored_total") - before >= 10


class Heard(msgspec.Struct):
    """A request as the bus hands it over."""

    subject: str
    data: bytes
    reply: str
    headers: dict[str, str] | None = None


class TestTroubles:
    @pytest.fixture
    async def signaling(self) -> None:
        """No replica but the parts of one."""

    async def forwarder(self, world: World, registry: Session) -> tuple[Forwarder, Answers]:
        """One whose registry is read by a session of its own."""
        session, key = await world.session("signaling"), world.keys["signaling"]
        answers = Answers(session, Voice(key), Refusals("signaling", world.lines.log), counters_of("signaling"))
        forwarder = Forwarder(
            session,
            answers,
            Roster(Bucket(registry, REGISTRY), RegistryRecord, 3.0, 10, time.monotonic),
            Roster(Bucket(registry, PRESENCE), PresenceRecord, 3.0, 10, time.monotonic),
            Budgets(10_000, 10_000, 10),
            monotonic=time.monotonic,
            now_ms=now_ms,
        )
        return forwarder, answers

    async def hand_over(self, world: World, ann: Agent, bob: Agent, registry: Session, count: int) -> set[str]:
        """Offers of one sender at once; the problems that came back."""
        heard = await ann.hear()
        forwarder, answers = await self.forwarder(world, registry)
        subject = subjects.send(ann.key.token, "signaling", "forward")
        for _ in range(count):
            data = ann.sealed(IceCandidate(candidate=""), bob.did)
            await forwarder.forward(Heard(subject, data, subjects.inbox_live(ann.key.token)))
        await forwarder.settle()
        await answers.flush()
        async with asyncio.timeout(10):
            bodies = [unseal((await heard.get()).data).body for _ in range(count)]
        return {body.problem for body in bodies if isinstance(body, Error)}

    async def test_a_registry_that_is_away_is_no_reason_to_drop(self, world: World, ann: Agent, bob: Agent) -> None:
        """Who cannot be looked up now may be later: the sender is told to come again."""
        registry = await world.session("signaling")
        await registry.close()

        assert {"timeout"} == await self.hand_over(world, ann, bob, registry, 1)

    async def test_what_one_sender_has_under_way_is_bounded(self, world: World, ann: Agent, bob: Agent) -> None:
        """Beyond a thousand envelopes in one lane the next are told to come again."""
        registry = await world.session("signaling")

        assert {"unknown_agent", "rate_limited"} == await self.hand_over(world, ann, bob, registry, 1_030)
