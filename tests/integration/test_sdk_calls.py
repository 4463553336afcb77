"""Calls between agents of the SDK: one answer, from the one who was asked."""

import asyncio
from typing import Any

import pytest
from tests.integration.sdk_agents import PAIRS, SECONDS, Host, listening

from aiconexus.protocol.bodies import Error, ExecRequest, ExecResponse, Outcome
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.sdk import Delivery, Identity

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_call_returns_the_result(host: Host, here: str, there: str) -> None:
    """A capability is found, called and answered, whether its function blocks or not."""
    bob = host.make(there, name=f"bob of {here} and {there}")

    @bob.capability("math.add")
    async def add(args: dict[str, Any]) -> float:
        return float(args["a"] + args["b"])

    @bob.capability("text.count")
    def count(args: dict[str, Any]) -> dict[str, int]:
        return {"words": len(args["text"].split())}

    await host.open(bob)
    alice = await host.open(host.make(here))
    cards = [
        card async for card in alice.discover(capability="math.add", online=True, name=f"bob of {here} and {there}")
    ]

    assert [bob.did] == [card.did for card in cards]
    assert await alice.call(bob.did, capability="math.add", args={"a": 1, "b": 2}) == 3.0
    assert {"words": 3} == await alice.call(bob.did, capability="text.count", args={"text": "tea for two"})


async def test_calls_run_side_by_side(host: Host) -> None:
    """A call that waits does not hold up another one of the same caller."""
    bob = host.make()
    release = asyncio.Event()

    @bob.capability("wait")
    async def wait(_: dict[str, Any]) -> str:
        await release.wait()
        return "waited"

    @bob.capability("release")
    async def let_go(_: dict[str, Any]) -> str:
        release.set()
        return "released"

    await host.open(bob)
    alice = await host.open(host.make("text"))
    waiting = asyncio.create_task(alice.call(bob.did, capability="wait", timeout=SECONDS))
    released = await alice.call(bob.did, capability="release", timeout=SECONDS)

    assert [released, await waiting] == ["released", "waited"]


async def test_handlers_may_call_each_other_when_the_inbox_is_full(host: Host) -> None:
    """More handlers than the inbox holds wait for answers, and every one of them gets it."""
    bob, carol = host.make(), host.make("binary")
    answers: list[Any] = []
    everything = asyncio.Event()
    count = 300

    @carol.capability("double")
    async def double(args: dict[str, Any]) -> int:
        return int(args["n"]) * 2

    @bob.capability("ask")
    async def ask(args: dict[str, Any]) -> None:
        answers.append(await bob.call(carol.did, capability="double", args=args, timeout=SECONDS))
        if len(answers) == count:
            everything.set()

    await host.open(carol)
    await host.open(bob)
    alice = await host.open(host.make())
    for number in range(count):
        await alice.post(bob.did, ExecRequest(capability="ask", args={"n": number}), timeout=0)
    async with asyncio.timeout(2 * SECONDS):
        await everything.wait()

    assert [2 * number for number in range(count)] == sorted(answers)


async def test_failed_call_raises_what_the_callee_said(host: Host) -> None:
    """The exception of the callee arrives as its text."""
    bob = host.make("text")

    @bob.capability("fail")
    async def fail(_: dict[str, Any]) -> None:
        raise ValueError("no tea")

    await host.open(bob)
    alice = await host.open(host.make())

    with pytest.raises(RemoteProblem, match="ValueError: no tea") as caught:
        await alice.call(bob.did, capability="fail")
    assert (bob.did, "handler_failed") == (caught.value.reporter, caught.value.error.problem)


async def test_result_that_cannot_travel_is_a_failure(host: Host) -> None:
    """The caller hears of a result that is too large, instead of waiting for it."""
    bob = host.make()

    @bob.capability("huge")
    async def huge(_: dict[str, Any]) -> str:
        return "x" * 100_000

    await host.open(bob)
    alice = await host.open(host.make())

    with pytest.raises(RemoteProblem, match="cannot be sent"):
        await alice.call(bob.did, capability="huge")


async def test_unknown_capability_is_said_at_once(host: Host) -> None:
    """Who cannot do it says so."""
    bob = host.make()
    listening(bob)
    await host.open(bob)
    alice = await host.open(host.make())

    with pytest.raises(RemoteProblem) as caught:
        await alice.call(bob.did, capability="fly", timeout=SECONDS)
    assert caught.value.error.problem == "no_handler"


async def test_unknown_callee_is_said_at_once(host: Host) -> None:
    """A call of nobody does not wait for its time-out."""
    alice = await host.open(host.make())

    with pytest.raises(RemoteProblem) as caught:
        await alice.call(Identity.generate().did, capability="fly", timeout=SECONDS)
    assert caught.value.error.problem == "unknown_agent"


async def test_callee_gives_up_in_time(host: Host) -> None:
    """The time-out of a call holds on both sides: the caller is told, and the work is cut off."""
    bob = host.make()
    cut_off = asyncio.Event()

    @bob.capability("hang")
    async def hang(_: dict[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    await host.open(bob)
    alice = await host.open(host.make())

    with pytest.raises((NotAcknowledged, RemoteProblem)):
        await alice.call(bob.did, capability="hang", timeout=0.3)
    async with asyncio.timeout(SECONDS):
        await cut_off.wait()


async def test_whole_requests_may_be_handled(host: Host) -> None:
    """Without a capability, a handler of EXEC_REQUEST gets the delivery, and its result is the answer."""
    bob = host.make()

    @bob.on(ExecRequest)
    async def answer(delivery: Delivery) -> list[Any]:
        assert isinstance(delivery.body, ExecRequest)
        return [delivery.sender, delivery.body.capability, delivery.body.args]

    await host.open(bob)
    alice = await host.open(host.make())

    assert [alice.did, None, {"x": 1}] == await alice.call(bob.did, args={"x": 1})


async def test_foreign_answer_is_refused(host: Host) -> None:
    """Whoever learns of a call's id cannot answer in the callee's place."""
    bob, mallory = host.make(), await host.open(host.make("binary"))

    @bob.on(ExecRequest)
    async def answer(delivery: Delivery) -> str:
        forged = ExecResponse(status=Outcome.SUCCESS, result="forged")
        mine = await mallory.post(delivery.sender, forged, in_reply_to=delivery.id)
        await mallory.post(delivery.sender, Error(code="X", message="forged"), in_reply_to=delivery.id)
        await mine.wait_processed(SECONDS)
        return "true"

    await host.open(bob)
    alice = await host.open(host.make("text"))

    assert await alice.call(bob.did, timeout=SECONDS) == "true"
