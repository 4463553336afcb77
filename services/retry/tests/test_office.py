"""What can be asked about jobs, and by whom their fate is changed."""

import pytest

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.job_bodies import (
    DeadLetters,
    Drop,
    Dropped,
    JobList,
    Jobs,
    JobState,
    Requeue,
    Scheduled,
    ShowJob,
    Withdraw,
    Withdrawn,
)
from aiconexus.protocol.policy import RetryPolicy

from .world import QUICK, Agent, World, refused

pytestmark = pytest.mark.usefixtures("services")

ONCE = RetryPolicy(max_retries=0)
FAR_MS = 3_600_000


@pytest.fixture
async def operator(world: World) -> Agent:
    """Whom the directory names as an operator."""
    return await world.agent(world.keys["operator"])


async def dead_letter(alice: Agent, bob: Agent) -> str:
    """Have an envelope of Alice given up; the name of its job."""
    job = (await alice.schedule(alice.letter(bob), ONCE)).job
    ((sequence, sealed),) = await bob.mail()
    await bob.give_back(sequence, sealed)
    await alice.reach(job, JobState.DEAD)
    return job


async def test_withdrawn_job_is_never_tried(alice: Agent, bob: Agent) -> None:
    """A job that was taken back before its time puts nothing into the mailbox."""
    at_ms = now_ms() + 300
    job = (await alice.schedule(alice.letter(bob, "no"), not_before_ms=at_ms)).job
    answer = await alice.ask(Withdraw(job=job), Withdrawn)
    wanted = alice.letter(bob, "yes")
    await alice.schedule(wanted, not_before_ms=at_ms + 100)

    assert JobState.WITHDRAWN == answer.state
    assert [wanted] == [sealed for _, sealed in await bob.mail()]


async def test_withdrawn_envelope_leaves_the_mailbox(alice: Agent, bob: Agent) -> None:
    """A job that is taken back while its envelope lies there unread takes it out of the mailbox."""
    job = (await alice.schedule(alice.letter(bob, "no"))).job
    await alice.reach(job, JobState.PLACED)
    await alice.ask(Withdraw(job=job), Withdrawn)
    wanted = alice.letter(bob, "yes")
    await alice.schedule(wanted)

    assert [wanted] == [sealed for _, sealed in await bob.mail()]


async def test_ended_job_is_not_withdrawn(alice: Agent, bob: Agent) -> None:
    """Who comes too late is told how the job ended; who says it twice is told the same."""
    job = (await alice.schedule(alice.letter(bob))).job
    ((sequence, _),) = await bob.mail()
    await bob.ack(sequence)
    await alice.reach(job, JobState.DONE)
    answers = [await alice.ask(Withdraw(job=job), Withdrawn) for _ in range(2)]

    assert [JobState.DONE] * 2 == [answer.state for answer in answers]


async def test_jobs_are_listed_by_state_and_page(alice: Agent, bob: Agent) -> None:
    """A list holds what fits the filters, in pages."""
    at_ms = now_ms() + FAR_MS
    jobs = [(await alice.schedule(alice.letter(bob), not_before_ms=at_ms)).job for _ in range(5)]
    await alice.ask(Withdraw(job=jobs[0]), Withdrawn)
    first = await alice.ask(Jobs(state=JobState.WAITING, limit=3), JobList)
    second = await alice.ask(Jobs(state=JobState.WAITING, limit=3, cursor=first.cursor), JobList)

    assert jobs[1:] == [card.job for card in (*first.jobs, *second.jobs)]
    assert second.cursor is None
    assert {at_ms} == {card.next_ms for card in first.jobs}


async def test_agent_sees_what_it_sends_and_is_to_receive(
    world: World, alice: Agent, bob: Agent, operator: Agent
) -> None:
    """Sender and recipient see a job, a third agent does not, an operator sees all."""
    carol = await world.agent()
    job = (await alice.schedule(alice.letter(bob), not_before_ms=now_ms() + FAR_MS)).job
    with pytest.raises(RemoteProblem) as shown:
        await carol.show(job)
    with pytest.raises(RemoteProblem) as withdrawn:
        await carol.ask(Withdraw(job=job), Withdrawn)
    with pytest.raises(RemoteProblem) as listed:
        await carol.ask(Jobs(sender=alice.did), JobList)

    assert all(refused("unknown_job")(caught.value) for caught in (shown, withdrawn, listed))
    assert ([], []) == (await listed_by(carol), await listed_by(bob))
    assert [job] == await listed_by(alice) == await listed_by(bob, recipient=bob.did) == await listed_by(operator)
    assert job == (await operator.show(job)).card.job == (await bob.show(job)).card.job


async def test_namesakes_are_told_apart(world: World, alice: Agent, bob: Agent) -> None:
    """If a sender uses an id for two recipients, each sees its own job, and the one that is dead can be sent again."""
    carol, id_ = await world.agent(), new_id()
    at_ms = now_ms() + FAR_MS
    await alice.schedule(alice.letter(bob, id_=id_), not_before_ms=at_ms)
    job = (await alice.schedule(alice.letter(carol, id_=id_), ONCE)).job
    ((sequence, sealed),) = await carol.mail()
    await carol.give_back(sequence, sealed)
    dead = await carol.reach(job, JobState.DEAD)
    again = await alice.ask(Requeue(job=job), Scheduled)

    assert carol.did == dead.card.recipient
    assert bob.did == (await bob.show(job)).card.recipient
    assert JobState.WAITING == again.state


async def listed_by(agent: Agent, recipient: str | None = None) -> list[str]:
    """The jobs that an agent may see."""
    return [card.job for card in (await agent.ask(Jobs(recipient=recipient), JobList)).jobs]


async def test_dead_letter_is_sent_again(alice: Agent, bob: Agent, operator: Agent) -> None:
    """An operator sends a dead letter again under another policy; it is delivered, and no dead letter any more."""
    job = await dead_letter(alice, bob)
    assert [job] == [card.job for card in (await operator.ask(DeadLetters(), JobList)).jobs]
    answer = await operator.ask(Requeue(job=job, policy=QUICK), Scheduled)
    ((sequence, sealed),) = await bob.mail()
    await bob.give_back(sequence, sealed)
    ((sequence, again),) = await bob.mail()
    await bob.ack(sequence)
    shown = await alice.reach(job, JobState.DONE)

    assert JobState.WAITING == answer.state
    assert sealed == again
    assert (3, 1, QUICK) == (shown.card.attempts, shown.card.failures, shown.policy)
    assert () == (await operator.ask(DeadLetters(), JobList)).jobs


async def test_dropped_dead_letter_is_gone(alice: Agent, bob: Agent) -> None:
    """A dead letter that its sender drops is listed no longer, and cannot be sent again."""
    job = await dead_letter(alice, bob)
    await alice.ask(Drop(job=job), Dropped)
    with pytest.raises(RemoteProblem) as caught:
        await alice.ask(Requeue(job=job), Scheduled)

    assert () == (await alice.ask(DeadLetters(), JobList)).jobs
    assert refused("job_ended")(caught.value)


async def test_dead_letter_beyond_its_end_stays_dead(alice: Agent, bob: Agent) -> None:
    """An envelope that has expired is not sent again: nobody would take it."""
    job = (await alice.schedule(alice.letter(bob, expires_ms=now_ms() + 400))).job
    await alice.reach(job, JobState.DEAD)
    with pytest.raises(RemoteProblem) as caught:
        await alice.ask(Requeue(job=job), Scheduled)

    assert refused("expired")(caught.value)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (ShowJob(job="z6Mk.nobody"), "unknown_job"),
        (Withdraw(job="z6Mk.nobody"), "unknown_job"),
        (Drop(job="z6Mk.nobody"), "unknown_job"),
        (Jobs(cursor="x"), "malformed"),
        (Jobs(cursor="9" * 64), "malformed"),
        (DeadLetters(cursor="9" * 20), "malformed"),
        (Jobs(recipient="did:key:z6Mk*"), "invalid_did"),
    ],
    ids=lambda value: value.TYPE if isinstance(value, Body) else "",
)
async def test_nonsense_is_refused(alice: Agent, body: Body, problem: str) -> None:
    """What names no job, no page and no agent is refused with its problem."""
    with pytest.raises(RemoteProblem) as caught:
        await alice.ask(body, Body)

    assert refused(problem)(caught.value)
