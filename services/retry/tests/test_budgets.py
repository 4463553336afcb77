"""What one sender may ask for, and what others notice of it."""

import asyncio
import time

import pytest

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.job_bodies import DeadLetters, JobList, Jobs
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.runtime.testing import counted

from .world import Agent, World, refused

STORM = 1_200
BOUND_SECONDS = 2.0


async def test_sender_has_so_many_jobs(world: World, alice: Agent, bob: Agent) -> None:
    """A sender with all the jobs it may have is told to come again; another sender is not."""
    carol = await world.agent()
    at_ms = now_ms() + 60_000
    async with world.relay(), world.retry(sender_jobs_max=3):
        for _ in range(3):
            await alice.schedule(alice.letter(bob), not_before_ms=at_ms)
        with pytest.raises(RemoteProblem) as caught:
            await alice.schedule(alice.letter(bob), not_before_ms=at_ms)
        await carol.schedule(carol.letter(bob), not_before_ms=at_ms)

    assert refused("too_many_jobs")(caught.value)
    assert caught.value.retryable


async def test_sender_has_a_rate(world: World, alice: Agent, bob: Agent) -> None:
    """A sender that is too fast is told when to come again."""
    at_ms = now_ms() + 60_000
    async with world.retry(sender_burst=2, sender_rate_per_second=1):
        for _ in range(2):
            await alice.schedule(alice.letter(bob), not_before_ms=at_ms)
        with pytest.raises(RemoteProblem) as caught:
            await alice.schedule(alice.letter(bob), not_before_ms=at_ms)

    assert refused("rate_limited")(caught.value)
    assert (caught.value.error.retry_after_ms or 0) > 0


async def test_asker_has_a_rate(world: World, alice: Agent) -> None:
    """Who asks about jobs all the time is told when to come again; an operator may."""
    operator = await world.agent(world.keys["operator"])
    async with world.retry(question_burst=2, question_rate_per_second=1):
        for _ in range(2):
            await alice.ask(Jobs(), JobList)
        with pytest.raises(RemoteProblem) as caught:
            await alice.ask(DeadLetters(), JobList)
        for _ in range(5):
            await operator.ask(Jobs(), JobList)

    assert refused("rate_limited")(caught.value)
    assert (caught.value.error.retry_after_ms or 0) > 0


async def test_storm_of_one_does_not_delay_another(world: World, alice: Agent) -> None:
    """While a sender has far more timers go off than can be worked on, another one's go off in time."""
    bob, carol, dave = [await world.agent() for _ in range(3)]
    policy = RetryPolicy(attempt_timeout_seconds=60)
    room = asyncio.Semaphore(32)

    async with world.relay(), world.retry(sender_queue_max=64, sender_steps_per_second=50, sender_burst=10_000):
        at_ms = now_ms() + 6_000

        async def one() -> None:
            async with room:
                await alice.schedule(alice.letter(bob), policy, not_before_ms=at_ms)

        await asyncio.gather(*(one() for _ in range(STORM)))
        await carol.schedule(carol.letter(dave), policy, not_before_ms=at_ms + 100)
        await dave.mail()
        late = time.time() - (at_ms + 100) / 1000
        stormy = counted("aiconexus_retry_timers_put_off_total")

    assert late < BOUND_SECONDS
    assert stormy > 0
