"""From SCHEDULE to an end."""

import pytest

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.job_bodies import JobState, Schedule, Scheduled
from aiconexus.protocol.policy import RetryPolicy, Strategy
from aiconexus.protocol.seal import compose
from aiconexus.retry.settings import RetrySettings
from aiconexus.runtime.ask import ask

from .world import QUICK, Agent, World, refused

pytestmark = pytest.mark.usefixtures("services")


async def test_taken_envelope_is_done(alice: Agent, bob: Agent) -> None:
    """A scheduled envelope lies in the recipient's mailbox, unchanged, and the job is done once it is acknowledged."""
    letter = alice.letter(bob)
    job = (await alice.schedule(letter)).job
    ((sequence, sealed),) = await bob.mail()
    placed = await alice.reach(job, JobState.PLACED)
    await bob.ack(sequence)
    shown = await alice.reach(job, JobState.DONE)

    assert letter == sealed
    assert (0, 0) == (placed.card.next_ms, shown.card.next_ms)
    assert (1, 0) == (shown.card.attempts, shown.card.failures)
    assert ["placed", "done"] == [note.outcome for note in shown.history]


async def test_returned_envelope_comes_again(alice: Agent, bob: Agent) -> None:
    """An envelope that its recipient failed at lies in the mailbox again after the policy's delay."""
    letter = alice.letter(bob)
    job = (await alice.schedule(letter)).job
    ((first, sealed),) = await bob.mail()
    answer = await bob.give_back(first, sealed, message="no paper")
    ((second, again),) = await bob.mail()
    await bob.ack(second)
    shown = await alice.reach(job, JobState.DONE)

    assert letter == sealed == again
    assert (JobState.WAITING, True) == (answer.state, answer.duplicate)
    assert (2, 1) == (shown.card.attempts, shown.card.failures)
    assert ["placed", "handler_failed", "placed", "done"] == [note.outcome for note in shown.history]


async def test_exhausted_policy_ends_in_a_dead_letter(alice: Agent, bob: Agent) -> None:
    """After the last retry has failed the sender is told, and the envelope is kept."""
    letter = alice.letter(bob)
    job = (await alice.schedule(letter)).job
    for _ in range(QUICK.max_retries + 1):
        ((sequence, sealed),) = await bob.mail()
        await bob.give_back(sequence, sealed)
    notice = await alice.notice()
    shown = await alice.reach(job, JobState.DEAD)

    assert (job.partition(".")[2], "exhausted") == notice
    assert (3, 3, "exhausted") == (shown.card.attempts, shown.card.failures, shown.card.problem)
    assert letter == shown.envelope


async def test_final_failure_is_not_tried_again(alice: Agent, bob: Agent) -> None:
    """An envelope that its recipient will never take is a dead letter at once."""
    job = (await alice.schedule(alice.letter(bob))).job
    ((sequence, sealed),) = await bob.mail()
    await bob.give_back(sequence, sealed, problem="no_handler", retryable=False)

    assert (job.partition(".")[2], "no_handler") == await alice.notice()
    card = (await alice.reach(job, JobState.DEAD)).card
    assert (1, 1) == (card.attempts, card.failures)


async def test_recipient_may_return_what_was_merely_sent(alice: Agent, bob: Agent) -> None:
    """An envelope that came without a job becomes one when its recipient returns it, under the recipient's policy."""
    letter = alice.letter(bob)
    answer = await bob.give_back(1, letter, policy=QUICK)
    ((sequence, sealed),) = await bob.mail()
    await bob.ack(sequence)
    shown = await bob.reach(answer.job, JobState.DONE)

    assert letter == sealed
    assert (2, 1, QUICK) == (shown.card.attempts, shown.card.failures, shown.policy)


async def test_return_counts_once(alice: Agent, bob: Agent) -> None:
    """A recipient that says the same twice, because it did not hear the answer, has failed once."""
    job = (await alice.schedule(alice.letter(bob), RetryPolicy(initial_delay_seconds=30))).job
    ((sequence, sealed),) = await bob.mail()
    first = await bob.give_back(sequence, sealed)
    second = await bob.give_back(sequence, sealed)

    assert first.next_ms == second.next_ms
    assert 1 == (await alice.show(job)).card.failures


async def test_first_attempt_waits_for_its_time(alice: Agent, bob: Agent) -> None:
    """An envelope with a time lies in the mailbox then, and not before."""
    at_ms = now_ms() + 500
    await alice.schedule(alice.letter(bob), not_before_ms=at_ms)
    await bob.mail()

    assert at_ms <= now_ms()


async def test_service_may_schedule(world: World, bob: Agent) -> None:
    """What a service leaves to retry comes to its recipient, although nobody registers a service."""
    key = world.keys["identity"]
    settings = RetrySettings(seed=key.seed, directory_file="")
    letter = compose(Message(content="x"), key, bob.did, id_=new_id(), now_ms=now_ms())
    question = Schedule(envelope=letter, policy=QUICK)
    answer = (await ask(await world.context("identity", "i", settings), "retry", "schedule", question)).body
    ((sequence, sealed),) = await bob.mail()
    await bob.ack(sequence)

    assert letter == sealed
    assert isinstance(answer, Scheduled)
    assert 1 == (await bob.reach(answer.job, JobState.DONE)).card.attempts


async def test_attempt_without_an_outcome_has_failed(alice: Agent, bob: Agent) -> None:
    """With a time-out an envelope that nobody takes is given up after its retries, and leaves the mailbox."""
    policy = RetryPolicy(max_retries=1, initial_delay_seconds=0.05, attempt_timeout_seconds=0.1, jitter=0)
    job = (await alice.schedule(alice.letter(bob), policy)).job
    assert "exhausted" == (await alice.notice())[1]
    shown = await alice.reach(job, JobState.DEAD)
    after = alice.letter(bob, "later")
    await alice.schedule(after)

    assert (2, 2) == (shown.card.attempts, shown.card.failures)
    assert [after] == [sealed for _, sealed in await bob.mail()]


async def test_timed_out_attempt_is_followed_after_its_delay(alice: Agent, bob: Agent) -> None:
    """Also after a time-out the delay is kept, however short it is."""
    policy = RetryPolicy(
        strategy=Strategy.FIXED, max_retries=1, initial_delay_seconds=0.2, jitter=0.0, attempt_timeout_seconds=0.1
    )
    job = (await alice.schedule(alice.letter(bob), policy)).job
    placed, failed, again = (await alice.reach(job, JobState.DEAD)).history[:3]

    assert 100 <= failed.at_ms - placed.at_ms
    assert 200 <= again.at_ms - failed.at_ms


async def test_late_success_counts(alice: Agent, bob: Agent) -> None:
    """An envelope that is taken after its attempt timed out, but before it was given up, is done."""
    policy = RetryPolicy(initial_delay_seconds=0.5, attempt_timeout_seconds=0.1, jitter=0)
    job = (await alice.schedule(alice.letter(bob), policy)).job
    ((sequence, _),) = await bob.mail()
    await alice.reach(job, JobState.WAITING)
    await bob.ack(sequence)

    assert 1 == (await alice.reach(job, JobState.DONE)).card.attempts


async def test_deadline_ends_a_job(alice: Agent, bob: Agent) -> None:
    """Nothing is tried after the policy's deadline, however many retries are left."""
    policy = RetryPolicy(max_retries=100, initial_delay_seconds=0.1, deadline_seconds=0.4)
    job = (await alice.schedule(alice.letter(bob), policy)).job

    assert "deadline" == (await alice.notice())[1]
    assert "deadline" == (await alice.reach(job, JobState.DEAD)).card.problem


async def test_end_of_the_envelope_ends_a_job(alice: Agent, bob: Agent) -> None:
    """An envelope that nobody took in its lifetime is a dead letter, and its sender is told by one service only."""
    job = (await alice.schedule(alice.letter(bob, expires_ms=now_ms() + 700))).job

    assert "expired" == (await alice.notice())[1]
    assert "expired" == (await alice.reach(job, JobState.DEAD)).card.problem


async def test_refusal_for_good_is_not_tried_again(world: World, alice: Agent, bob: Agent) -> None:
    """What the relay will never store is a dead letter after one attempt, with the relay's reason."""
    await world.revoke(bob)
    job = (await alice.schedule(alice.letter(bob))).job

    assert "unknown_agent" == (await alice.notice())[1]
    assert 0 == (await alice.reach(job, JobState.DEAD)).card.attempts


async def test_listed_problem_is_tried_again(world: World, alice: Agent, bob: Agent) -> None:
    """A policy may list problems that are worth another attempt although they do not say so."""
    stranger = Agent(world, world.keys["issuer"])
    policy = RetryPolicy(max_retries=50, initial_delay_seconds=0.05, multiplier=1, retryable=("unknown_agent",))
    job = (await alice.schedule(alice.letter(stranger), policy)).job
    await alice.reach(job, JobState.WAITING)
    await world.agent(stranger.key)
    ((sequence, _),) = await stranger.mail()
    await stranger.ack(sequence)
    await alice.reach(job, JobState.DONE)


async def test_same_envelope_is_one_job(alice: Agent, bob: Agent) -> None:
    """A sender that repeats itself has one job; another envelope under the same id is refused."""
    letter = alice.letter(bob, id_="twice")
    first = await alice.schedule(letter, not_before_ms=now_ms() + 60_000)
    second = await alice.schedule(letter)
    with pytest.raises(RemoteProblem) as caught:
        await alice.schedule(alice.letter(bob, "other", id_="twice"))

    assert (first.job, first.next_ms, False) == (second.job, second.next_ms, first.duplicate)
    assert second.duplicate
    assert refused("conflict")(caught.value)


async def test_only_own_envelopes_are_taken(alice: Agent, bob: Agent) -> None:
    """Nobody schedules the envelope of another, or returns one that was not for them."""
    with pytest.raises(RemoteProblem) as scheduled:
        await bob.schedule(alice.letter(bob))
    with pytest.raises(RemoteProblem) as returned:
        await alice.give_back(1, alice.letter(bob))

    assert refused("foreign_sender")(scheduled.value)
    assert refused("refused")(returned.value)
