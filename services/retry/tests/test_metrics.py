"""What an operator reads of the service's work."""

import asyncio

from aiconexus.bus.testing import new_key
from aiconexus.protocol.job_bodies import JobState
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.runtime.testing import counted

from .world import PATIENCE_SECONDS, QUICK, Agent, World

LATE = "aiconexus_retry_lateness_seconds_count"
FAILED = "aiconexus_retry_attempts_failed_total"


async def test_mail_that_lies_there_is_not_late(world: World, alice: Agent, bob: Agent) -> None:
    """However often the mailbox of who is away is looked at, only the beginning of an attempt can be late."""
    late, fired = counted(LATE), counted("aiconexus_retry_timers_fired_total")
    async with world.relay(), world.retry(), asyncio.timeout(PATIENCE_SECONDS):
        await alice.schedule(alice.letter(bob))
        while counted("aiconexus_retry_timers_fired_total") < fired + 4:
            await asyncio.sleep(0.02)

    assert 1 == counted(LATE) - late


async def test_failures_are_counted_by_their_cause(world: World, alice: Agent, bob: Agent) -> None:
    """What a recipient gave back, what nobody took in time, and what the relay refused are told apart."""
    causes = ("recipient", "timeout", "relay")
    before = [counted(FAILED, cause=cause) for cause in causes]
    impatient = RetryPolicy(max_retries=1, initial_delay_seconds=0.05, attempt_timeout_seconds=0.1)
    stubborn = RetryPolicy(max_retries=1, initial_delay_seconds=0.05, retryable=("unknown_agent",))
    nobody = Agent(world, new_key())
    async with world.relay(), world.retry():
        await alice.schedule(alice.letter(bob), QUICK)
        ((sequence, sealed),) = await bob.mail()
        await bob.give_back(sequence, sealed)
        await bob.ack((await bob.mail())[0][0])
        lost = [
            await alice.schedule(alice.letter(bob), impatient),
            await alice.schedule(alice.letter(nobody), stubborn),
        ]
        for answer in lost:
            await alice.reach(answer.job, JobState.DEAD)

    assert [1, 1, 1] == [counted(FAILED, cause=cause) - known for cause, known in zip(causes, before, strict=True)]
