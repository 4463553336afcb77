"""Nothing depends on the life of one process."""

import asyncio

from aiconexus.bus.clock import now_ms
from aiconexus.bus.streams import Stored, Streams
from aiconexus.protocol.job_bodies import JobState
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.runtime.testing import counted

from .world import Agent, World


async def test_replicas_divide_the_jobs(world: World, alice: Agent, bob: Agent) -> None:
    """With two replicas each of many envelopes is placed once and done once."""
    before = counted("aiconexus_retry_attempts_total")
    async with world.relay(), world.retry("1"), world.retry("2"):
        jobs = [(await alice.schedule(alice.letter(bob))).job for _ in range(40)]
        entries = await bob.mail(len(jobs))
        await bob.ack(entries[-1][0])
        for job in jobs:
            await alice.reach(job, JobState.DONE)

    assert len(jobs) == len({sealed for _, sealed in entries})
    assert len(jobs) == counted("aiconexus_retry_attempts_total") - before


async def test_job_outlives_its_service(world: World, alice: Agent, bob: Agent) -> None:
    """A job whose time comes while nobody is there is worked on by the next process."""
    async with world.relay():
        async with world.retry("1"):
            job = (await alice.schedule(alice.letter(bob), not_before_ms=now_ms() + 200)).job
        async with world.retry("2"):
            ((sequence, _),) = await bob.mail()
            await bob.ack(sequence)
            await alice.reach(job, JobState.DONE)


class Behind(Streams):
    """Reads from a server of the cluster that has heard of nothing yet."""

    async def last(self, stream: str, subject: str) -> Stored | None:
        """Nothing, as yet."""
        return None


async def test_server_that_is_behind_is_not_believed(world: World, alice: Agent, bob: Agent) -> None:
    """A job of which the server that is asked first has not heard is not forgotten, nor is its envelope lost."""
    async with world.relay(), world.retry(streams=Behind):
        job = (await alice.schedule(alice.letter(bob))).job
        ((sequence, _),) = await bob.mail()
        await bob.ack(sequence)
        done = await alice.reach(job, JobState.DONE)

    assert 1 == done.card.attempts


async def test_attempt_waits_for_the_relay(world: World, alice: Agent, bob: Agent) -> None:
    """While the relay is away no attempt is counted; it is made when the relay is back."""
    async with world.retry():
        job = (await alice.schedule(alice.letter(bob), RetryPolicy(max_retries=0))).job
        interrupted = counted("aiconexus_retry_steps_repeated_total")
        async with asyncio.timeout(10):
            while counted("aiconexus_retry_steps_repeated_total") < interrupted + 2:
                await asyncio.sleep(0.02)
        waiting = await alice.show(job)
        async with world.relay():
            ((sequence, _),) = await bob.mail()
            await bob.ack(sequence)
            done = await alice.reach(job, JobState.DONE)

    assert (JobState.WAITING, 0) == (waiting.card.state, waiting.card.attempts)
    assert (1, 0) == (done.card.attempts, done.card.failures)


async def test_timers_outlive_a_killed_server(world: World, alice: Agent, bob: Agent) -> None:
    """After SIGKILL of the bus with jobs waiting and placed, each ends as if nothing had been."""
    async with world.relay(), world.retry():
        at_ms = now_ms() + 1_000
        jobs = [(await alice.schedule(alice.letter(bob), not_before_ms=at_ms)).job for _ in range(10)]
        jobs += [(await alice.schedule(alice.letter(bob))).job for _ in range(10)]
        await alice.reach(jobs[-1], JobState.PLACED)
        await world.server.kill()
        await world.server.start()
        entries = await bob.mail(len(jobs))
        await bob.ack(entries[-1][0])
        shown = [await alice.reach(job, JobState.DONE) for job in jobs]

    assert len(jobs) == len({sealed for _, sealed in entries})
    assert {1} == {one.card.attempts for one in shown}
