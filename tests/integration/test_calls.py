"""Calls: whom they reach, how long they last, and what ends them."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.integration.sdk_agents import PAIRS, SECONDS, Host, listening, within

from aiconexus.bus.clock import new_id
from aiconexus.protocol.bodies import ExecRequest, ExecResponse, Intent, Outcome, Policy
from aiconexus.protocol.call_bodies import Cancel, Progress
from aiconexus.protocol.delivery_errors import NoHolder, NotAcknowledged
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.sdk import Agent, Call, Delivery

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Handling:
    """A handler that hangs, and what became of it."""

    def __init__(self, agent: Agent, capability: str = "hang") -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.runs = 0
        agent.capability(capability)(self.run)

    async def run(self, _: dict[str, Any]) -> None:
        """Be the handler."""
        self.runs += 1
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


# Whom they reach


async def test_work_is_spread_over_the_holders(host: Host) -> None:
    """A call that names no callee reaches one of those who are here, and many calls reach all of them."""
    done: Counter[int] = Counter()

    def holder(number: int) -> Agent:
        agent = host.make(("nats", "binary", "text")[number])

        @agent.capability("spread")
        async def work(args: dict[str, Any]) -> int:
            done[number] += 1
            await asyncio.sleep(0)
            return int(args["n"]) * 2

        return agent

    for number in range(3):
        await host.open(holder(number))
    alice = await host.open(host.make())
    results = await asyncio.gather(*(alice.call(capability="spread", args={"n": n}) for n in range(60)))

    assert [2 * n for n in range(60)] == results
    assert 60 == done.total()
    assert all(count >= 6 for count in done.values())
    assert 3 == len(done)


async def test_call_fails_over_while_nothing_has_run(host: Host) -> None:
    """Who refuses, has no handler, or is gone, is passed over; the one that can do it does it once."""
    runs: list[str] = []
    refusing = await host.open(host.make(policy=Policy.LISTED, capabilities=["rare"]))
    empty = host.make(capabilities=["rare"])
    empty.on("MESSAGE")(print)
    await host.open(empty)
    bob = host.make("text")

    @bob.capability("rare")
    async def work(_: dict[str, Any]) -> str:
        runs.append("bob")
        return "done"

    await host.open(bob)
    alice = await host.open(host.make())
    results = [await alice.call(capability="rare", timeout=SECONDS) for _ in range(8)]

    assert ["done"] * 8 == results
    assert ["bob"] * 8 == runs
    assert refusing.counts.read == 0


async def test_named_call_that_moved_on_is_not_run_twice(host: Host) -> None:
    """A holder that was gone when it was asked, and whose work another one did, does not do it when it comes back."""
    runs: list[str] = []

    def holder(label: str) -> Agent:
        agent = host.make(label=label)

        @agent.capability("movable")
        async def work(_: dict[str, Any]) -> str:
            runs.append(label)
            return label

        return agent

    alice = await host.open(host.make())
    gone = holder("gone")
    async with gone:
        assert "gone" == await alice.call(capability="movable")
    await host.open(holder("here"))
    # Alice still remembers the one who is gone, and no other.
    result = await alice.call(capability="movable", timeout=SECONDS, id_=new_id())
    back = holder("gone")
    heard = listening(back)
    await host.open(back)
    await alice.send(gone.did, "after")
    await heard.next()

    assert "here" == result
    assert ["gone", "here"] == runs


async def test_failed_handler_is_not_run_elsewhere(host: Host) -> None:
    """What began and failed is the answer, however many others there are."""
    runs: list[int] = []
    for _ in range(3):
        agent = host.make()

        @agent.capability("broken")
        async def fail(_: dict[str, Any]) -> None:
            runs.append(1)
            raise ValueError("no tea")

        await host.open(agent)
    alice = await host.open(host.make())

    with pytest.raises(RemoteProblem, match="no tea"):
        await alice.call(capability="broken")
    assert [1] == runs


async def test_nobody_is_said_at_once(host: Host) -> None:
    """A capability that nobody has is no time-out."""
    alice = await host.open(host.make(capabilities=["lonely"]))

    with pytest.raises(NoHolder, match="lonely"):
        await alice.call(capability="lonely")
    with pytest.raises(ValueError, match="DID or a capability"):
        await alice.call()


# How long they last, and what ends them


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_progress_gives_more_time(host: Host, here: str, there: str) -> None:
    """A callee that says that it is at it may take longer than the time-out, and the caller hears what it says."""
    bob = host.make(there)

    @bob.capability("think")
    async def think(_: dict[str, Any], call: Call) -> str:
        for percent in (25, 50, 75):
            await call.progress(f"thinking\nof {call.sender[-4:]}", percent)
            await asyncio.sleep(0.5)
        return call.id

    await host.open(bob)
    alice = await host.open(host.make(here))
    heard: list[Progress] = []
    id_ = new_id()
    result = await alice.call(bob.did, capability="think", timeout=1.2, id_=id_, on_progress=heard.append)

    assert id_ == result
    assert [Progress(message=f"thinking of {alice.did[-4:]}", percent=p) for p in (25.0, 50.0, 75.0)] == heard


async def test_ceiling_ends_what_only_says_that_it_is_at_it(host: Host) -> None:
    """Progress does not buy time for ever, on neither side."""
    bob = host.make()
    ended = asyncio.Event()

    @bob.capability("dawdle")
    async def dawdle(_: dict[str, Any], call: Call) -> None:
        try:
            while True:
                await call.progress()
                await asyncio.sleep(0.1)
        finally:
            ended.set()

    await host.open(bob)
    alice = await host.open(host.make())
    loop = asyncio.get_running_loop()
    began = loop.time()

    with pytest.raises((NotAcknowledged, RemoteProblem)):
        await alice.call(bob.did, capability="dawdle", timeout=0.6, ceiling=1.2)
    assert 1.0 < loop.time() - began < SECONDS
    await within(ended)


async def test_callee_enforces_the_time_out(host: Host) -> None:
    """The handler is cut off and the call is answered with the problem, which whoever asks again is told."""
    bob = host.make()
    handling = Handling(bob)
    await host.open(bob)
    alice = await host.open(host.make("text"))
    question = ExecRequest(capability="hang")
    with pytest.raises(NotAcknowledged):
        await alice.request(bob.did, question, timeout=0.4, id_="late")
    await within(handling.ended)
    answer = (await alice.request(bob.did, question, timeout=SECONDS, id_="late")).body

    assert isinstance(answer, ExecResponse)
    assert (Outcome.ERROR, "timeout") == (answer.status, answer.problem)
    assert 1 == handling.runs
    with pytest.raises(RemoteProblem) as caught:
        await alice.call(bob.did, capability="hang", id_="late")
    assert ("timeout", True) == (caught.value.error.problem, caught.value.retryable)


@pytest.mark.parametrize("there", ["nats", "text"])
async def test_cancelled_wait_cancels_the_handler(host: Host, there: str) -> None:
    """Who does not wait any more does not leave the callee at work."""
    bob = host.make(there)
    handling = Handling(bob)
    await host.open(bob)
    alice = await host.open(host.make())
    waiting = asyncio.create_task(alice.call(bob.did, capability="hang"))
    await within(handling.began)
    waiting.cancel()

    await within(handling.ended)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_stranger_cannot_cancel(host: Host) -> None:
    """Only who asked may say that nobody wants the answer; a named request is cancelled expressly."""
    bob = host.make()
    handling = Handling(bob)
    await host.open(bob)
    alice, mallory = await host.open(host.make()), await host.open(host.make())
    waiting = asyncio.create_task(alice.call(bob.did, capability="hang", id_="mine"))
    await within(handling.began)
    forged = await mallory.post(bob.did, Cancel(), in_reply_to="mine")
    await forged.wait_processed(SECONDS)
    was_cut = handling.ended.is_set()
    await alice.cancel("mine", "changed my mind")

    with pytest.raises(RemoteProblem) as caught:
        await waiting
    assert ("cancelled", False) == (caught.value.error.problem, was_cut)


async def test_call_of_somebody_who_is_away_does_not_run_later(host: Host) -> None:
    """Who comes back after the caller has given up finds nothing to do."""
    first = await host.open(host.make(label="bob"))
    await first.close()
    alice = await host.open(host.make())
    with pytest.raises(NotAcknowledged):
        await alice.call(first.did, capability="hang", timeout=0.3)
    bob = host.make(label="bob")
    handling = Handling(bob)
    await host.open(bob)

    with pytest.raises(NotAcknowledged):
        await alice.call(first.did, capability="hang", timeout=1)
    assert 1 == handling.runs


# Wishes


async def test_wish_is_answered_in_both_modes(host: Host) -> None:
    """In natural language or structured, with status, cost, what is still required, and the result."""
    bob = host.make("text", capabilities=["shop"])

    @bob.on(Intent)
    async def sell(delivery: Delivery, call: Call) -> Intent | dict[str, Any]:
        wish = delivery.body
        assert isinstance(wish, Intent)
        await call.progress("looking")
        if wish.task == "buy":
            return Intent(status="needs_input", required_input=("address",), cost=4.5)
        return {"you_said": wish.query, "about": wish.context}

    await host.open(bob)
    alice = await host.open(host.make())
    quoted = await alice.ask(bob.did, task="buy", params={"what": "tea"}, timeout=SECONDS)
    answered = await alice.ask(capability="shop", query="any tea?", context={"for": 2}, timeout=SECONDS)

    assert Intent(status="needs_input", required_input=("address",), cost=4.5) == quoted
    assert Intent(status="done", result={"you_said": "any tea?", "about": {"for": 2}}) == answered
