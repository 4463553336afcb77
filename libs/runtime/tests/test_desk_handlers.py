"""Handlers at a desk that fail, say too much, or take their time."""

import asyncio

import pytest

from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Discover, Error, Fetch, Mail, MailItem, Ping, Pong
from aiconexus.protocol.delivery_errors import MailboxFull
from aiconexus.protocol.errors import AiconexusError, RemoteProblem
from aiconexus.runtime.desk import REQUESTS_MAX, Desk, Request
from aiconexus.runtime.testing import counted

from .world import Caller, World, error_in


class TestFailures:
    """A handler that fails takes nobody with it."""

    async def outcome(self, world: World, alice: Caller, error: Exception) -> Error:
        desk = Desk(await world.context("identity"))

        async def fail(_: Request[Discover]) -> Body:
            raise error

        desk.on(Discover, fail)
        await desk.open()
        letter = await alice.ask("identity", Discover())
        assert (await alice.ask("identity", Ping(sequence=1))).body == Pong(sequence=1)
        return error_in(letter.body)

    async def test_a_problem_of_ours_is_told(self, world: World, alice: Caller) -> None:
        """With code, problem and the time of the next try."""
        error = await self.outcome(world, alice, MailboxFull("did:key:x", 10, 1500))

        assert (error.problem, error.retryable, error.retry_after_ms) == ("mailbox_full", True, 1500)
        assert world.lines.of("identity.request_failed") == []

    async def test_a_problem_of_another_service_is_passed_on(self, world: World, alice: Caller) -> None:
        """As it was reported; as a metric it is ``remote``, so that a remote cannot invent labels."""
        told = Error(code="TIMEOUT", message="late", problem="any text at all")
        before = counted("aiconexus_identity_requests_total", type="DISCOVER", outcome="remote")

        error = await self.outcome(world, alice, RemoteProblem("did:key:x", told))

        assert error == told
        assert counted("aiconexus_identity_requests_total", type="DISCOVER", outcome="remote") == before + 1

    @pytest.mark.parametrize(
        "error", [ZeroDivisionError("a secret detail"), AiconexusError("a secret detail")], ids=["bug", "no row"]
    )
    async def test_anything_else_is_internal_without_details(
        self, world: World, alice: Caller, error: Exception
    ) -> None:
        """The log has the traceback, the stranger has nothing."""
        answer = await self.outcome(world, alice, error)

        assert (answer.problem, answer.message) == ("internal", "internal error")
        assert len(world.lines.of("identity.request_failed")) == 1


async def test_an_answer_that_is_too_large_becomes_a_problem(world: World, alice: Caller) -> None:
    """The requester is not left waiting."""
    desk = Desk(await world.context("relay"))

    async def too_much(_: Request[Fetch]) -> Mail:
        return Mail(items=(MailItem(sequence=1, codec=1, payload=bytes(1_100_000), signature=b""),))

    desk.on(Fetch, too_much)
    await desk.open()
    letter = await alice.ask("relay", Fetch())

    assert error_in(letter.body).problem == "too_large"


async def test_so_many_requests_are_handled_at_the_same_time_and_no_more(world: World, alice: Caller) -> None:
    """The others wait, and are answered when a place is free."""
    desk = Desk(await world.context("relay"))
    running, most, full, release = 0, 0, asyncio.Event(), asyncio.Event()

    async def slow(_: Request[Fetch]) -> Mail:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == REQUESTS_MAX:
            full.set()
        await release.wait()
        running -= 1
        return Mail()

    desk.on(Fetch, slow)
    await desk.open()
    async with asyncio.timeout(20):
        asking = asyncio.gather(*(alice.ask("relay", Fetch()) for _ in range(REQUESTS_MAX + 20)))
        await full.wait()
        release.set()
        answers = await asking

    assert most == REQUESTS_MAX
    assert len(answers) == REQUESTS_MAX + 20


async def test_a_desk_that_closes_finishes_what_has_arrived(world: World, alice: Caller) -> None:
    """A request that was taken is answered; what comes later is not."""
    desk = Desk(await world.context("relay"))
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(_: Request[Fetch]) -> Mail:
        begun.set()
        await release.wait()
        return Mail(pending=1)

    desk.on(Fetch, slow)
    async with asyncio.timeout(20):
        async with desk:
            asking = asyncio.create_task(alice.ask("relay", Fetch()))
            await begun.wait()
            closing = asyncio.create_task(desk.close())
            release.set()
            await closing
            letter = await asking

    assert letter.body == Mail(pending=1)


async def test_a_reply_that_cannot_be_sent_is_noted(world: World, alice: Caller) -> None:
    """When the bus has gone in the meantime, the log says so."""
    context = await world.context("relay")
    desk = Desk(context)
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(_: Request[Fetch]) -> Mail:
        begun.set()
        await release.wait()
        return Mail()

    desk.on(Fetch, slow)
    await desk.open()
    subject = subjects.send(alice.key.token, "relay", "fetch")
    await alice.session.publish(subject, world.sealed("alice", Fetch(), "relay"), reply=alice.session.new_inbox())
    async with asyncio.timeout(20):
        await begun.wait()
        await context.session.close()
        release.set()
        await desk.close()

    assert len(world.lines.of("relay.answer_lost")) == 1
