"""What two do to one job at the same moment, told by a relay that answers when the test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import RemoteProblem
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
from aiconexus.protocol.records import DEAD, JOBS
from aiconexus.relay.settings import RelaySettings
from aiconexus.retry.job import JobRecord
from aiconexus.runtime.desk import Desk, Request

from .world import PATIENCE_SECONDS, QUICK, Agent, World, refused

FAR_MS = 3_600_000
ONCE = RetryPolicy(max_retries=0)
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


async def record_of(world: World, job: str) -> JobRecord:
    """What the stream holds of a job."""
    streams = Streams(await world.session("retry", "reader"))
    sender, _, id_ = job.partition(".")
    pattern = subjects.job("record", f"{subjects.job_key(sender, id_)}.*")
    page = await streams.batch(JOBS, pattern, 0, limit=1, max_bytes=100_000)
    return msgspec.msgpack.decode(page.items[0].data, type=JobRecord)


async def test_withdrawn_while_it_is_placed_leaves_the_mailbox(world: World, alice: Agent, bob: Agent) -> None:
    """Who takes a job back in the middle of an attempt is not told so while the envelope stays in the mailbox."""
    answers: list[Withdrawn] = []
    async with played(world) as relay, world.retry():
        letter, id_ = alice.letter(bob), ""

        async def withdraw() -> None:
            answers.append(await alice.ask(Withdraw(job=job), Withdrawn))

        id_ = new_id()
        letter = alice.letter(bob, id_=id_)
        job = f"{alice.key.token}.{id_}"
        relay.before_placed = withdraw
        await alice.schedule(letter)
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
    at_ms = now_ms() + 300
    taken: set[bytes] = set()

    async def hand_over(letter: bytes) -> None:
        try:
            await alice.schedule(letter, not_before_ms=at_ms)
        except RemoteProblem as error:
            assert refused("conflict")(error)
        else:
            taken.add(letter)

    async with world.relay(), world.retry("1"), world.retry("2"):
        letters = [alice.letter(bob, number, id_=id_) for id_ in ids for number in range(4)]
        await asyncio.gather(*map(hand_over, letters))
        came = {sealed for _, sealed in await bob.mail(len(ids))}

    assert len(ids) == len(taken)
    assert taken == came


async def dead_letter(world: World, alice: Agent, bob: Agent) -> str:
    """A dead letter, given up for want of a recipient."""
    await world.revoke(bob)
    job = (await alice.schedule(alice.letter(bob), ONCE)).job
    await alice.reach(job, JobState.DEAD)
    await world.agent(bob.key)
    return job


async def test_dead_letter_is_sent_again_once(world: World, alice: Agent, bob: Agent) -> None:
    """Of many who send a dead letter again at the same moment one does, and the others hear how the job stands."""
    async with world.relay(), world.retry("1"), world.retry("2"):
        job = await dead_letter(world, alice, bob)
        asked = (alice.ask(Requeue(job=job), Scheduled) for _ in range(8))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        ((sequence, _),) = await bob.mail()
        await bob.ack(sequence)
        done = await alice.reach(job, JobState.DONE)

    assert 1 == sum(isinstance(answer, Scheduled) for answer in answers)
    assert 7 == sum(isinstance(answer, RemoteProblem) and refused("job_ended")(answer) for answer in answers)
    assert 1 == done.card.attempts


async def test_requeue_that_dies_before_its_timer_goes_on(world: World, alice: Agent, bob: Agent) -> None:
    """What was sent again is tried although whoever did it died at once, and it is no dead letter any more."""
    async with world.relay():
        async with world.retry("1"):
            job = await dead_letter(world, alice, bob)
            dead = await record_of(world, job)
            buried = await Streams(await world.session("retry", "x")).last(DEAD, subjects.dead_letter(dead.key))
        assert buried is not None
        async with world.retry("2", requeue_safety_seconds=0.2):
            await alice.ask(DeadLetters(), JobList)
