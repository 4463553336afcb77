"""Streamed answers: in order, each part once, never far ahead of their reader, over every loss."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.callers import Spec, caller
from tests.integration.sdk_agents import PAIRS, SECONDS, Host, within
from tests.integration.strangers import NativeStranger, native

from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Body, Error, ExecRequest, ExecResponse, Fetch, Mail, Outcome
from aiconexus.protocol.call_bodies import Cancel, Chunk, Resume
from aiconexus.protocol.delivery_errors import NotAcknowledged, StreamGap
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.seal import Letter, Sealed, unseal
from aiconexus.sdk import Agent, Call
from aiconexus.sdk.chunks import WINDOW_CHUNKS

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORM = {"scale": {"edge": 2}}


def edges(platform: Platform) -> list[str]:
    """The URLs of both edges."""
    ports = [json.loads((platform.home.run / "ports" / f"{name}.json").read_bytes()) for name in ("edge", "edge-2")]
    return [f"ws://127.0.0.1:{each['http']}/ws" for each in ports]


class Counting:
    """A capability that counts, and what is known of its runs."""

    def __init__(self, agent: Agent, pause: float = 0.0) -> None:
        self.runs = 0
        self.yielded = 0
        self.ended = asyncio.Event()
        self._pause = pause
        agent.capability("count")(self.count)

    async def count(self, args: dict[str, Any]) -> AsyncIterator[Any]:
        """Be the handler."""
        self.runs += 1
        try:
            for number in range(args["upto"]):
                self.yielded = number + 1
                yield number
                await asyncio.sleep(self._pause)
        finally:
            self.ended.set()


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_parts_come_in_order(host: Host, here: str, there: str) -> None:
    """What the callee yields is what the caller gets, whatever it is, between all dialects."""
    bob = host.make(there)
    said: list[Any] = ["tea", {"for": 2}, None, [1.5, "ö"], ""] * 20

    @bob.capability("say")
    async def say(args: dict[str, Any], call: Call) -> AsyncIterator[Any]:
        await call.progress("thinking", 1)
        for part in said[: args["upto"]]:
            yield part

    await host.open(bob)
    alice = await host.open(host.make(here))
    parts = [part async for part in alice.stream(bob.did, capability="say", args={"upto": 100}, timeout=SECONDS)]
    nothing = [part async for part in alice.stream(capability="say", args={"upto": 0}, timeout=SECONDS)]
    at_once = await alice.call(bob.did, capability="say", args={"upto": 3})

    assert said == parts
    assert [] == nothing
    assert said[:3] == at_once


async def test_answer_in_one_piece_is_one_part(host: Host) -> None:
    """Whoever asks for parts also gets what a plain handler returns."""
    bob = host.make()
    bob.capability("plain")(lambda args: args)
    await host.open(bob)
    alice = await host.open(host.make())

    assert [{"x": 1}] == [part async for part in alice.stream(bob.did, capability="plain", args={"x": 1})]


async def test_callee_waits_for_a_slow_reader(host: Host) -> None:
    """The callee is never further ahead than the window, and the reader may take longer than the time-out."""
    bob = host.make()
    counting = Counting(bob)
    await host.open(bob)
    alice = await host.open(host.make("binary"))
    ahead, parts = 0, []
    async for part in alice.stream(bob.did, capability="count", args={"upto": 120}, timeout=1):
        if part % 40 == 0:
            await asyncio.sleep(1.2)
        ahead = max(ahead, counting.yielded - part)
        parts.append(part)

    assert list(range(120)) == parts
    assert WINDOW_CHUNKS // 2 < ahead <= WINDOW_CHUNKS + 1


async def test_reader_that_leaves_ends_the_handler(host: Host) -> None:
    """Leaving the loop is a cancellation."""
    bob = host.make()
    counting = Counting(bob, pause=0.01)
    await host.open(bob)
    alice = await host.open(host.make())
    async with contextlib.aclosing(alice.stream(bob.did, capability="count", args={"upto": 10_000})) as parts:
        async for part in parts:
            if part == 5:
                break

    await within(counting.ended)
    assert counting.yielded < 10_000


async def test_failure_comes_after_what_was_sent(host: Host) -> None:
    """The parts before the failure are not lost with it."""
    bob = host.make("text")

    @bob.capability("fail")
    async def fail(_: dict[str, Any]) -> AsyncIterator[int]:
        for number in range(10):
            yield number
        raise ValueError("no more")

    await host.open(bob)
    alice = await host.open(host.make())
    parts: list[int] = []

    async def read() -> None:
        async for part in alice.stream(bob.did, capability="fail"):
            parts.append(part)  # noqa: PERF401 - what came before the exception counts

    with pytest.raises(RemoteProblem, match="no more"):
        await read()
    assert list(range(10)) == parts


async def test_silent_callee_is_given_up(host: Host) -> None:
    """Without a part for the length of the time-out the stream ends on both sides."""
    bob = host.make()
    ended = asyncio.Event()

    @bob.capability("stop")
    async def stop(_: dict[str, Any]) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    await host.open(bob)
    alice = await host.open(host.make())
    parts = alice.stream(bob.did, capability="stop", timeout=0.5)
    first = await anext(parts)

    with pytest.raises((NotAcknowledged, RemoteProblem)):
        await anext(parts)
    await within(ended)
    assert 1 == first


@pytest.mark.parametrize("cut", ["edge", "edge-2", "relay"])
async def test_stream_goes_on_when_a_part_of_the_platform_dies(host: Host, platform: Platform, cut: str) -> None:
    """Caller and callee lose their edge, or the relay dies, in the middle: not a part is missing or doubled."""
    both = edges(platform)
    bob = host.make("binary", url=both)
    counting = Counting(bob, pause=0.002)
    await host.open(bob)
    alice = await host.open(host.make("text", url=both[::-1]))
    parts: list[int] = []
    async for part in alice.stream(bob.did, capability="count", args={"upto": 400}, timeout=SECONDS):
        parts.append(part)
        if part == 100:
            await platform.kill(cut)
            if cut == "relay":
                await platform.restart(cut)
    if cut != "relay":
        await platform.restart(cut)

    assert list(range(400)) == parts
    assert 1 == counting.runs


async def test_next_life_goes_on_where_the_reader_died(host: Host, platform: Platform, tmp_path: Path) -> None:
    """A reader is killed in the middle; its next life gets the rest, and twice only what it had not done with."""
    bob = host.make()
    counting = Counting(bob, pause=0.005)
    await host.open(bob)
    spec = Spec(
        folder=str(tmp_path),
        label="alice",
        url=platform.endpoints().nats,
        callee=bob.did,
        capability="count",
        id="read",
        args={"upto": 200},
        stream=True,
    )
    async with caller(spec) as first:
        assert "asked" == await first.next()
        lines = [await first.next() for _ in range(70)]
        lines += await first.kill()
    async with caller(spec) as second:
        rest = (await second.rest())[1:]
    async with caller(spec) as third:
        nothing = (await third.rest())[1:]
    died_at, went_on_at = _number(lines[-1]), _number(rest[0])

    assert list(range(died_at + 1)) == [_number(line) for line in lines]
    assert list(range(went_on_at, 200)) == [_number(line) for line in rest]
    assert went_on_at in (died_at, died_at + 1)
    assert [] == nothing
    assert 1 == counting.runs


def _number(line: str) -> int:
    word, number = line.split()
    assert "part" == word
    return int(number)


class Callee:
    """A callee without the SDK, which can be told to lose chunks."""

    def __init__(self, agent: NativeStranger) -> None:
        self.agent = agent
        self._read = 0

    async def next(self, body: type[Body]) -> Letter:
        """The next envelope of a type that comes into its mailbox."""
        async with asyncio.timeout(SECONDS):
            while True:
                mail = (await self.agent.say(Fetch(after=self._read), self.agent.services["relay"], "fetch")).body
                assert isinstance(mail, Mail)
                for item in mail.items:
                    self._read = item.sequence
                    letter = unseal(Sealed(item.codec, item.payload, item.signature))
                    if isinstance(letter.body, body):
                        return letter
                await asyncio.sleep(0.02)

    async def say(self, request: Letter, *bodies: Body) -> None:
        """Answer a call with all of these."""
        for body in bodies:
            await self.agent.say(body, request.envelope.sender, in_reply_to=request.envelope.id)


ANSWER = ExecResponse(status=Outcome.SUCCESS, chunks=4)


@pytest.mark.parametrize("lost", [[1], [0, 1], [3], [1, 3]], ids=str)
async def test_lost_chunk_is_asked_for(host: Host, platform: Platform, lost: list[int]) -> None:
    """A chunk that does not come is asked for, and the parts are in order and single nevertheless."""
    alice = await host.open(host.make())
    chunks = [*(Chunk(index=index, data=index) for index in range(3)), Chunk(index=3, last=True)]

    async def read(did: str) -> list[int]:
        return [part async for part in alice.stream(did, capability="lossy", timeout=SECONDS)]

    async with native(platform.endpoints().nats) as stranger:
        callee = Callee(stranger)
        reading = asyncio.create_task(read(stranger.key.did))
        request = await callee.next(ExecRequest)
        await callee.say(request, *(chunk for chunk in chunks if chunk.index not in lost), ANSWER)
        while (resume := (await callee.next(Resume)).body) != Resume(next=4, again=False):
            assert isinstance(resume, Resume)
            if resume.again:
                await callee.say(request, *chunks[resume.next :], ANSWER)
        async with asyncio.timeout(SECONDS):
            parts = await reading

    assert [0, 1, 2] == parts


@pytest.mark.parametrize("is_said", [True, False], ids=["the callee says so", "nobody says anything"])
async def test_chunk_that_is_lost_for_good_is_an_error(host: Host, platform: Platform, is_said: bool) -> None:
    """The reader gets what came before, and then the error that names what lacks."""
    alice = await host.open(host.make())
    parts: list[int] = []

    async def read(did: str) -> None:
        async for part in alice.stream(did, capability="lossy", timeout=2):
            parts.append(part)  # noqa: PERF401 - what came before the exception counts

    async with native(platform.endpoints().nats) as stranger:
        callee = Callee(stranger)
        reading = asyncio.create_task(read(stranger.key.did))
        request = await callee.next(ExecRequest)
        await callee.say(request, Chunk(index=0, data=0), Chunk(index=3, data=3))
        resume = (await callee.next(Resume)).body
        if is_said:
            await callee.say(request, Error(code="INTERNAL_ERROR", problem="stream_gap", message="lost"))
        with pytest.raises(StreamGap) as caught:
            async with asyncio.timeout(SECONDS):
                await reading
        if not is_said:
            await callee.next(Cancel)

    assert [0] == parts
    assert Resume(next=1) == resume
    assert 1 == caught.value.first
    assert (None if is_said else 3) == caught.value.end


async def test_callee_says_what_it_does_not_keep(host: Host) -> None:
    """Whoever asks for chunks that it has taken before, or of a call that nobody knows, gets no silence."""
    bob = host.make()
    Counting(bob)
    await host.open(bob)
    alice = await host.open(host.make())

    async def read() -> list[int]:
        return [part async for part in alice.stream(bob.did, capability="count", args={"upto": 5}, id_="all")]

    async def problem(id_: str) -> tuple[str, int]:
        answer = alice._open.calls.expect(id_, bob.did)
        async with asyncio.timeout(SECONDS):
            while not answer.done():
                await alice.post(bob.did, Resume(next=2), in_reply_to=id_)
                await asyncio.wait({answer}, timeout=1)
        with pytest.raises(RemoteProblem) as caught:
            await answer
        return caught.value.error.problem, caught.value.error.details["first"]

    assert list(range(5)) == await read()
    assert [] == await read()
    assert ("stream_gap", 2) == await problem("all")
    assert ("stream_gap", 2) == await problem("never-asked")
