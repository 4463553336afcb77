"""What the relay leaves to retry because a connected recipient does not acknowledge it."""

from typing import Any

import pytest

from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Receipt
from aiconexus.protocol.job_bodies import JobState, Return, Scheduled
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import unseal
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.ask import ask

from .world import Agent, World

pytestmark = pytest.mark.usefixtures("services")

PATIENT = RetryPolicy(initial_delay_seconds=30, jitter=0)
SHORT = RetryPolicy(max_retries=1, initial_delay_seconds=0.05, attempt_timeout_seconds=0.1, jitter=0)


async def submitted(world: World, sender: Agent, letter: bytes) -> int:
    """Send an envelope in the common way; its place in the mailbox."""
    incoming = await world.edge.request(subjects.send(sender.key.token, "relay", "submit"), letter)
    receipt = unseal(incoming.data).body
    assert isinstance(receipt, Receipt)
    return receipt.items[0].sequence or 0


async def handed_over(world: World, letter: bytes, sequence: int, policy: RetryPolicy) -> Scheduled:
    """What retry answers to the relay."""
    settings = RelaySettings(seed=world.keys["relay"].seed, directory_file="")
    context: Any = await world.context("relay", "t", settings)
    question = Return(envelope=letter, sequence=sequence, problem="timeout", policy=policy)
    answer = (await ask(context, "retry", "return", question)).body
    assert isinstance(answer, Scheduled)
    return answer


async def test_takeover_counts_once(world: World, alice: Agent, bob: Agent) -> None:
    """Another relay that says the same, not knowing of the first, changes nothing; the envelope stays where it lies."""
    letter = alice.letter(bob)
    sequence = await submitted(world, alice, letter)
    first = await handed_over(world, letter, sequence, PATIENT)
    second = await handed_over(world, letter, sequence, PATIENT)
    card = (await alice.show(first.job)).card

    assert (False, True, first.next_ms) == (first.duplicate, second.duplicate, second.next_ms)
    assert (JobState.WAITING, 1, 1, "timeout") == (card.state, card.attempts, card.failures, card.problem)
    assert [(sequence, letter)] == await bob.mail()


async def test_what_was_taken_over_is_given_up_once(world: World, alice: Agent, bob: Agent) -> None:
    """After the last attempt the envelope leaves the mailbox, and the sender is told by retry alone."""
    letter = alice.letter(bob)
    sequence = await submitted(world, alice, letter)
    job = (await handed_over(world, letter, sequence, SHORT)).job
    notice = await alice.notice()
    dead = await alice.reach(job, JobState.DEAD)
    later = alice.letter(bob, "later")
    await submitted(world, alice, later)

    assert (job.partition(".")[2], "exhausted") == notice
    assert (2, letter) == (dead.card.attempts, dead.envelope)
    assert [later] == [sealed for _, sealed in await bob.mail()]


async def test_recipient_may_give_back_what_was_taken_over(world: World, alice: Agent, bob: Agent) -> None:
    """A failure that the recipient reports itself is followed by the next attempt, at a new place."""
    letter = alice.letter(bob)
    sequence = await submitted(world, alice, letter)
    policy = RetryPolicy(initial_delay_seconds=0.05, attempt_timeout_seconds=60, jitter=0)
    job = (await handed_over(world, letter, sequence, policy)).job
    await alice.reach(job, JobState.PLACED)
    await bob.mail()
    await bob.give_back(sequence, letter)
    ((again, sealed),) = await bob.mail()
    await bob.ack(again)
    done = await alice.reach(job, JobState.DONE)

    assert sealed == letter
    assert again > sequence
    assert ["timeout", "placed", "handler_failed", "placed", "done"] == [note.outcome for note in done.history]


async def test_what_left_the_mailbox_is_done(world: World, alice: Agent, bob: Agent) -> None:
    """Whoever ended it, the recipient or the relay that told the sender of its expiry, retry adds nothing."""
    letter = alice.letter(bob)
    sequence = await submitted(world, alice, letter)
    job = (await handed_over(world, letter, sequence, SHORT)).job
    await bob.ack(sequence)

    assert 1 == (await alice.reach(job, JobState.DONE)).card.failures
