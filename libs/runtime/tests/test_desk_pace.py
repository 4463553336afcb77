"""A desk that one agent floods."""

import asyncio

import pytest

from aiconexus.bus.session import Incoming
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Error, Fetch, Mail, Ping, Pong
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.desk import Desk, Request
from aiconexus.runtime.testing import counted

from .world import Caller, World

IGNORED = "aiconexus_runtime_requests_ignored_total"
DROPPED = "aiconexus_runtime_requests_dropped_total"
BURST = 5
FLOOD = 70_000
"""More than a backlog holds."""


@pytest.fixture
async def desk(world: World) -> Desk:
    """A desk at which an agent may ask five times at once, and then once an hour."""
    desk = Desk(await world.context("relay"), budgets=Budgets(1 / 3600, BURST, 100))

    async def fetch(_: Request[Fetch]) -> Mail:
        return Mail()

    desk.on(Fetch, fetch)
    await desk.open()
    return desk


async def test_who_asks_too_often_is_told_when_to_ask_again(desk: Desk, alice: Caller) -> None:
    """After the burst the answer is rate_limited with a time, whatever was asked, and then there is none."""
    before = counted(IGNORED)
    answers = [(await alice.ask("relay", Fetch())).body for _ in range(2 * BURST)]
    await alice.session.publish(subjects.send(alice.key.token, "relay", "fetch"), b"junk")
    await alice.session.barrier()

    async with asyncio.timeout(5):
        while counted(IGNORED) == before:
            await alice.session.barrier()
    assert [Mail()] * BURST == answers[:BURST]
    for answer in answers[BURST:]:
        assert isinstance(answer, Error)
        assert ("rate_limited", True) == (answer.problem, answer.retryable)
        assert answer.retry_after_ms


async def test_a_flood_leaves_room_for_others(world: World, desk: Desk, alice: Caller) -> None:
    """One agent sends more than a backlog holds: nothing is dropped, and another one is answered."""
    dropped, ignored = counted(DROPPED), counted(IGNORED)
    mallory = await world.session("mallory")
    subject = subjects.send(world.keys["mallory"].token, "relay", "fetch")
    for _ in range(FLOOD // 1_000):
        for _ in range(1_000):
            await mallory.publish(subject, b"junk")
        await mallory.barrier()
    answer = await alice.ask("relay", Ping(sequence=1))

    assert Pong(sequence=1) == answer.body
    assert dropped == counted(DROPPED)
    assert FLOOD - 2 * BURST == counted(IGNORED) - ignored


async def test_a_raw_verb_is_paced_unless_it_paces_itself(world: World, alice: Caller) -> None:
    """What hands verbs over unchecked is no way around the budget, but a handler may have one of its own."""
    taken = {"open": 0, "own": 0}

    async def take(incoming: Incoming) -> None:
        taken[incoming.subject.rpartition(".")[2]] += 1

    desk = Desk(await world.context("relay"), budgets=Budgets(1 / 3600, BURST, 100))
    desk.raw("open", take)
    desk.raw("own", take, paces=True)
    await desk.open()
    for _ in range(3 * BURST):
        for verb in taken:
            await alice.session.publish(subjects.send(alice.key.token, "relay", verb), b"")
    await alice.session.barrier()
    await desk.close()

    assert {"open": BURST, "own": 3 * BURST} == taken
