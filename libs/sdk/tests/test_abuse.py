"""Calls under abuse: times and ids that are none, callbacks that raise, callees and handlers without measure."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from libs.sdk.tests.wire import SECONDS, Wire, sealed, serving

from aiconexus.bus.clock import now_ms
from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import Body, ExecRequest, ExecResponse, Intent, Outcome
from aiconexus.protocol.call_bodies import Cancel, Chunk, Progress
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.errors import MalformedEnvelope
from aiconexus.protocol.seal import unseal
from aiconexus.sdk import Agent, Delivery, Identity
from aiconexus.sdk.delivery import Sent
from aiconexus.sdk.executions import PROGRESS_SECONDS, CutOff, Execution

BOB = new_key()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A platform."""
    async with serving(Wire()) as wire:
        yield wire


class Callee:
    """Whoever Alice calls, in the hands of the test."""

    def __init__(self, wire: Wire, alice: Agent) -> None:
        self._wire = wire
        self._alice = alice
        self.sequence = 0

    async def say(self, body: Body, to: str) -> None:
        """Say something of a call."""
        self.sequence += 1
        data = sealed(BOB, body, self._alice.did, in_reply_to=to)
        await self._wire.push(data, self.sequence, self.sequence - 1)


async def called(wire: Wire) -> str:
    """The id of the next call."""
    return (await wire.next_submitted("EXEC_REQUEST")).envelope.id


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e300], ids=str)
@pytest.mark.parametrize("name", ["timeout", "ceiling"])
async def test_times_that_are_none_are_refused(wire: Wire, name: str, seconds: float) -> None:
    """A call that could not be waited for is not made, and the mistake is named."""
    async with Agent(Identity.generate(), wire.url) as alice:
        given: dict[str, Any] = {name: seconds}
        for call in (alice.call, alice.ask):
            with pytest.raises(ValueError, match=name):
                await call(BOB.did, capability="x", **given)
        with pytest.raises(ValueError, match=name):
            await anext(alice.stream(BOB.did, capability="x", **given))

    assert wire.submitted.empty()


@pytest.mark.parametrize("id_", ["", "a/b", "a b", "ä", "x" * 65], ids=repr)
async def test_id_that_is_none_blocks_nothing(wire: Wire, id_: str) -> None:
    """A call under an id that no envelope can have is refused here, and what follows to the same agent is sent."""
    async with Agent(Identity.generate(), wire.url) as alice:
        with pytest.raises(MalformedEnvelope):
            await alice.call(BOB.did, capability="x", id_=id_)
        await alice.send(BOB.did, "next", timeout=SECONDS)

    assert "MESSAGE" == (await wire.next_submitted()).envelope.type


async def test_thread_that_is_none_blocks_nothing(wire: Wire) -> None:
    """Neither does any other field of the envelope."""
    async with Agent(Identity.generate(), wire.url) as alice:
        with pytest.raises(MalformedEnvelope):
            await alice.send(BOB.did, "x", thread="t" * 129)
        await alice.send(BOB.did, "next", timeout=SECONDS)

    assert "MESSAGE" == (await wire.next_submitted()).envelope.type


async def test_callback_that_raises_harms_nobody(wire: Wire) -> None:
    """What ``on_progress`` raises reaches the loop's exception handler, and the call goes on to its answer."""
    raised: asyncio.Queue[BaseException] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: raised.put_nowait(context["exception"]))

    def fail(progress: Progress) -> None:
        raise LookupError(progress.message)

    async with asyncio.timeout(SECONDS), Agent(Identity.generate(), wire.url) as alice:
        callee = Callee(wire, alice)
        result = asyncio.create_task(alice.call(BOB.did, capability="x", on_progress=fail))
        id_ = await called(wire)
        await callee.say(Progress(message="half"), id_)
        error = await raised.get()
        await callee.say(ExecResponse(status=Outcome.SUCCESS, result=7), id_)

        assert 7 == await result
        assert isinstance(error, LookupError)


async def test_callback_may_be_a_coroutine(wire: Wire) -> None:
    """``on_progress`` may be a coroutine function, as other callbacks may."""
    heard: asyncio.Queue[Progress] = asyncio.Queue()
    async with asyncio.timeout(SECONDS), Agent(Identity.generate(), wire.url) as alice:
        callee = Callee(wire, alice)
        result = asyncio.create_task(alice.call(BOB.did, capability="x", on_progress=heard.put))
        id_ = await called(wire)
        await callee.say(Progress(message="half"), id_)

        assert "half" == (await heard.get()).message
        await callee.say(ExecResponse(status=Outcome.SUCCESS), id_)
        await result


async def test_stream_without_an_end_meets_the_ceiling(wire: Wire) -> None:
    """A callee that is always ahead of a slow reader keeps it no longer than the ceiling."""
    parts: list[int] = []

    async def read(alice: Agent) -> None:
        async for part in alice.stream(BOB.did, capability="x", timeout=0.2, ceiling=0.4):
            parts.append(part)
            # The next one is there before it is asked for, so that the reader never has to wait.
            await callee.say(Chunk(index=part + 1, data=part + 1), id_)
            await wire.acked_up_to(callee.sequence)

    async with asyncio.timeout(SECONDS), Agent(Identity.generate(), wire.url) as alice:
        callee = Callee(wire, alice)
        reading = asyncio.create_task(read(alice))
        id_ = await called(wire)
        await callee.say(Chunk(index=0, data=0), id_)
        with pytest.raises(NotAcknowledged):
            await reading
        cancel = await wire.next_submitted("CANCEL")

    assert list(range(len(parts))) == parts
    assert id_ == cancel.envelope.in_reply_to


async def test_cancel_lives_as_long_as_what_it_cancels(wire: Wire) -> None:
    """A callee that comes back after an hour finds the CANCEL behind the question, and does not run it."""
    async with asyncio.timeout(SECONDS), Agent(Identity.generate(), wire.url) as alice:
        with pytest.raises(NotAcknowledged):
            await alice.call(BOB.did, capability="x", timeout=0.05, ceiling=0.1, id_="mine")
        request = await wire.next_submitted("EXEC_REQUEST")
        await alice.cancel("mine", "too late")
        named = await wire.next_submitted("CANCEL")
        with pytest.raises(NotAcknowledged):
            await alice.ask(BOB.did, "x", timeout=0.05, ceiling=7200)
        wish = await wire.next_submitted("INTENT")
        unnamed = await wire.next_submitted("CANCEL")

    assert isinstance(named.body, Cancel)
    assert request.envelope.ends_ms <= named.envelope.ends_ms + 1000
    assert wish.envelope.ends_ms <= unnamed.envelope.ends_ms + 1000


@pytest.mark.parametrize("body", [ExecRequest(), Intent(query="x")], ids=lambda body: body.TYPE)
async def test_call_without_a_time_ends_with_its_envelope(body: Body) -> None:
    """What a caller puts no time to is not run for longer than anybody can wait for the answer."""
    ends_ms = now_ms() + 100
    letter = unseal(sealed(BOB, body, BOB.did, expires_ms=ends_ms))
    execution = Execution(Delivery(letter.envelope, letter.body, never), unsaid, lambda _: 0)
    async with asyncio.timeout(SECONDS):
        result = await execution.outcome(asyncio.create_task(asyncio.Event().wait()))

    assert isinstance(result.error, CutOff)
    assert isinstance(result.error.error, NotAcknowledged)
    assert ends_ms <= now_ms()


def unsaid(_: Body) -> Sent:
    """Nothing is said of it."""
    raise AssertionError


async def test_progress_does_not_pile_up() -> None:
    """While a word of progress waits for a caller that cannot be reached, no other one joins it before the answer."""
    words: list[Sent] = []

    def say(_: Body) -> Sent:
        words.append(Sent(str(len(words)), BOB.did))
        return words[-1]

    letter = unseal(sealed(BOB, ExecRequest(), BOB.did))
    execution = Execution(Delivery(letter.envelope, letter.body, never), say, lambda _: 0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + 2.5 * PROGRESS_SECONDS:
        execution.progress("still at it", None)
        await asyncio.sleep(0)
    waiting = len(words)
    words[0].note_stored(1)
    execution.progress("still at it", None)

    assert (1, 2) == (waiting, len(words))


async def never(*_: object, **__: object) -> Sent:
    """Nothing is answered here."""
    raise AssertionError
