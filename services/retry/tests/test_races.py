"""What two do to one job at the same moment, told by a relay that answers when the test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.streams import Streams
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.errors import BusUnavailable, RemoteProblem
from aiconexus.protocol.job_bodies import (
    DeadLetters,
    JobList,
    JobState,
    Look,
    Looked,
    Place,
    Placed,
    PlacedItem,
    Requeue,
    Scheduled,
    Withdraw,
    Withdrawn,
)
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import compose, unseal
from aiconexus.relay.settings import RelaySettings
from aiconexus.retry.job import JobRecord, Pace
from aiconexus.retry.mail import Mail
from aiconexus.retry.office import Office
from aiconexus.retry.settings import RetrySettings
from aiconexus.retry.steps import Steps
from aiconexus.retry.store import Store
from aiconexus.retry.timers import Timers
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.desk import Desk, Request

from .world import PATIENCE_SECONDS, Agent, World, refused

ENTRY = 7


async def nothing() -> None:
    """Let it pass."""


class Script:
    """A relay whose one mailbox is in the test's hands: entry 7 lies there until it is removed."""

    def __init__(self) -> None:
        self.removed = asyncio.Event()
        self.placed = 0
        self.noticed = asyncio.Semaphore(0)
        self.before_placed: Callable[[], Awaitable[object]] = nothing
        self.before_removed: Callable[[], Awaitable[object]] = nothing

    async def place(self, request: Request[Place]) -> Placed:
        """Put everything into entry 7."""
        for item in request.body.items:
            if item.attempt:
                self.placed += 1
                await self.before_placed()
            else:
                self.noticed.release()
        return Placed(items=tuple(PlacedItem(sequence=ENTRY) for _ in request.body.items))

    async def look(self, request: Request[Look]) -> Looked:
        """Everything is there, unless it was removed."""
        if request.body.remove:
            await self.before_removed()
            self.removed.set()
        return Looked(present=request.body.sequences)


@asynccontextmanager
async def played(world: World) -> AsyncIterator[Script]:
    """The script at work."""
    script = Script()
    settings = RelaySettings(seed=world.keys["relay"].seed, directory_file="")
    desk = Desk(await world.context("relay", "played", settings))
    desk.on(Place, script.place, by=("retry",))
    desk.on(Look, script.look, by=("retry",))
    async with asyncio.timeout(PATIENCE_SECONDS), desk:
        yield script


async def test_withdrawn_while_it_is_placed_leaves_the_mailbox(world: World, alice: Agent, bob: Agent) -> None:
    """Who takes a job back in the middle of an attempt is not told so while the envelope stays in the mailbox."""
    answers: list[Withdrawn] = []
    async with played(world) as relay, world.retry():
        id_ = new_id()
        job = f"{alice.key.token}.{id_}"

        async def withdraw() -> None:
            answers.append(await alice.ask(Withdraw(job=job), Withdrawn))

        relay.before_placed = withdraw
        await alice.schedule(alice.letter(bob, id_=id_))
        await relay.removed.wait()

    assert [JobState.WITHDRAWN] == [answer.state for answer in answers]
    assert 1 == relay.placed


async def test_dead_letter_that_two_bury_keeps_its_envelope(world: World, alice: Agent, bob: Agent) -> None:
    """Who comes late to a burial, after the envelope of the job was cleared away, does not empty the grave."""
    policy = RetryPolicy(max_retries=0, attempt_timeout_seconds=0.05)
    held, free = asyncio.Event(), asyncio.Event()

    async def hold_the_first() -> None:
        if not held.is_set():
            held.set()
            await free.wait()

    async with played(world) as relay, world.retry():
        relay.before_removed = hold_the_first
        letter = alice.letter(bob)
        job = (await alice.schedule(letter, policy)).job
        await held.wait()
        # Said again, it sets another timer, so that another worker begins the same burial.
        await alice.schedule(letter, policy)
        await alice.reach(job, JobState.DEAD)
        await relay.noticed.acquire()
        free.set()
        await relay.noticed.acquire()
        shown = await alice.show(job)

    assert letter == shown.envelope


async def test_one_id_has_one_body(world: World, alice: Agent, bob: Agent) -> None:
    """Of different envelopes under one id that are handed over together one is taken, and it is the one that comes."""
    ids = [new_id() for _ in range(20)]
    letters = [alice.letter(bob, number, id_=id_) for id_ in ids for number in range(4)]
    at_ms = now_ms() + 300
    async with world.relay(), world.retry("1"), world.retry("2"):
        handed_over = (alice.schedule(letter, not_before_ms=at_ms) for letter in letters)
        answers = await asyncio.gather(*handed_over, return_exceptions=True)
        taken = {letter for letter, answer in zip(letters, answers, strict=True) if isinstance(answer, Scheduled)}
        came = {sealed for _, sealed in await bob.mail(len(ids))}

    assert len(ids) == len(taken)
    assert taken == came
    assert all(map(refused("conflict"), (answer for answer in answers if isinstance(answer, RemoteProblem))))


async def dead_letter(alice: Agent, bob: Agent) -> str:
    """An envelope that its recipient has refused for good."""
    job = (await alice.schedule(alice.letter(bob))).job
    ((sequence, sealed),) = await bob.mail()
    await bob.give_back(sequence, sealed, retryable=False)
    await alice.reach(job, JobState.DEAD)
    return job


async def test_dead_letter_is_sent_again_once(world: World, alice: Agent, bob: Agent) -> None:
    """Of many who send a dead letter again at the same moment one does, and the others hear how the job stands."""
    async with world.relay(), world.retry("1"), world.retry("2"):
        job = await dead_letter(alice, bob)
        asked = (alice.ask(Requeue(job=job), Scheduled) for _ in range(8))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        ((sequence, _),) = await bob.mail()
        await bob.ack(sequence)
        done = await alice.reach(job, JobState.DONE)

    assert 1 == sum(isinstance(answer, Scheduled) for answer in answers)
    assert 7 == sum(isinstance(answer, RemoteProblem) and refused("job_ended")(answer) for answer in answers)
    assert 2 == done.card.attempts


class Unheard(msgspec.Struct):
    """A request that came over no bus."""

    subject: str = ""
    reply: str = ""
    data: bytes = b""
    headers: dict[str, str] | None = None


async def unasked(verb: str, _: Body) -> Body:
    """A relay that is away."""
    raise BusUnavailable((), verb)


class Dying(Steps):
    """Somebody who dies between the record of a job and its timer."""

    async def wake(self, record: JobRecord) -> None:
        """Die."""
        raise BusUnavailable((), record.key)


async def requeue_and_die(world: World, job: str, asker: Agent) -> None:
    """Do what the service does on REQUEUE, up to the moment of death."""
    settings = RetrySettings(seed=world.keys["retry"].seed, directory_file="")
    context = await world.context("retry", "dying", settings)
    streams = Streams(context.session)
    store, timers, mail = Store(streams, now_ms, 3_600, 3_600), Timers(streams), Mail(unasked)
    steps = Dying(store, timers, mail, key=context.key, services={}, pace=Pace(), now_ms=now_ms, log=context.log)
    budgets = Budgets(1, 1, 1)
    body = Requeue(job=job)
    letter = unseal(compose(body, asker.key, context.key.did, id_=new_id(), now_ms=now_ms()))
    request = Request(letter, body, Unheard())
    office = Office(
        store, steps, timers, mail, directory=world.directory, budgets=budgets, now_ms=now_ms, safety_ms=200
    )
    with pytest.raises(BusUnavailable):
        await office.requeue(request)


async def test_requeue_that_dies_before_its_timer_goes_on(world: World, alice: Agent, bob: Agent) -> None:
    """What was sent again is tried although whoever did it died at once, and it is no dead letter any more."""
    async with world.relay(), world.retry():
        job = await dead_letter(alice, bob)
        await requeue_and_die(world, job, alice)
        ((sequence, _),) = await bob.mail()
        await bob.ack(sequence)
        await alice.reach(job, JobState.DONE)
        left = (await alice.ask(DeadLetters(), JobList)).jobs

    assert () == left
