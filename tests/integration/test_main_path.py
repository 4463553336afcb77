"""
What agents do all day, between all dialects, on a platform with two processes of every service.

Agents that speak ``aiconexus.v1`` and ``ioap.v1`` are on different edges, so all that passes between them passes
between edges.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import pytest_asyncio
from tests.integration.agents import Spec
from tests.integration.processes import AgentProcess, dialects
from tests.integration.strangers import native

from aiconexus.cli.platform import Platform, Ports
from aiconexus.protocol.bodies import Error, Message, Presence, Receipt, Road
from aiconexus.protocol.errors import RemoteProblem, TakenOver
from aiconexus.protocol.signal_bodies import Offer
from aiconexus.sdk import Agent, AgentState, Delivery, Identity, Notice

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAILBOX_MAX = 60
PLATFORM = {
    "scale": {"identity": 2, "relay": 2, "edge": 2},
    "settings": {
        "AICONEXUS_RELAY_MAILBOX_MAX_ENVELOPES": str(MAILBOX_MAX),
        "AICONEXUS_RELAY_REGISTRY_CACHE_SECONDS": "0.2",
        "AICONEXUS_SIGNALING_REGISTRY_CACHE_SECONDS": "0.2",
    },
}
DIALECTS = ("nats", "binary", "text")
SOON = 5.0
"""Longer than anything here takes, shorter than any time-out below it."""
AT_ONCE = 1.0
"""The promise for presence."""

MakeAgent = Callable[..., Agent]
each = pytest.mark.parametrize


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def make(platform: Platform) -> MakeAgent:
    """Makes an agent of a dialect that was not started."""
    other_edge = msgspec.json.decode((platform.home.run / "ports" / "edge-2.json").read_bytes(), type=Ports)
    endpoints = platform.endpoints()
    ways = {
        "nats": (endpoints.nats, "aiconexus.v1"),
        "binary": (endpoints.ws, "aiconexus.v1"),
        "text": (f"ws://127.0.0.1:{other_edge.http}/ws", "ioap.v1"),
    }

    def agent(dialect: str, identity: Identity | None = None, **options: Any) -> Agent:
        url, subprotocol = ways[dialect]
        return Agent(
            identity or Identity.generate(), url, subprotocol=subprotocol, connect_timeout=10 * SOON, **options
        )

    return agent


class Heard:
    """What an agent's handler got, in order."""

    def __init__(self, agent: Agent, type_: str = "MESSAGE") -> None:
        self.all: list[Any] = []
        self._new: asyncio.Queue[Delivery] = asyncio.Queue()

        @agent.on(type_)
        async def note(delivery: Delivery) -> None:
            self.all.append(delivery.content)
            self._new.put_nowait(delivery)

    async def next(self) -> Delivery:
        """The next one."""
        async with asyncio.timeout(SOON):
            return await self._new.get()


class Slow(NamedTuple):
    """What takes seconds by design, begun before everything else, so that nothing waits for it."""

    expired: "asyncio.Task[tuple[Identity, list[str]]]"
    filled: "asyncio.Task[list[list[Any]]]"


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def slow(make: MakeAgent) -> AsyncIterator[Slow]:
    """Envelopes that expire, and mailboxes that are full for a while."""
    slow = Slow(asyncio.create_task(_let_expire(make)), asyncio.create_task(_fill(make)))
    yield slow
    for task in slow:
        task.cancel()
    await asyncio.wait(slow)


async def _let_expire(make: MakeAgent) -> tuple[Identity, list[str]]:
    """Send to somebody who is away, by every road that can say how long something counts."""
    bob = make("nats")
    async with bob:
        pass

    async def send(speaker: str) -> str:
        async with make(speaker) as alice:
            sent = await alice.send(bob.did, "too late", lifetime_ms=1000)
            with pytest.raises(RemoteProblem) as caught:
                await sent.wait_processed(4 * SOON)
        return caught.value.error.problem

    return bob.identity, list(await asyncio.gather(send("nats"), send("binary")))


async def _fill(make: MakeAgent) -> list[list[Any]]:
    """Send one envelope more than a mailbox holds, and read it then."""

    async def fill(speaker: str) -> list[Any]:
        bob = make("nats")
        async with bob:
            pass
        async with make(speaker) as alice:
            sents = [await alice.send(bob.did, number) for number in range(MAILBOX_MAX)]
            last = await alice.send(bob.did, "one more", timeout=0)
            bob = make("nats", bob.identity)
            heard = Heard(bob)
            async with bob:
                for sent in (*sents, last):
                    await sent.wait_processed(4 * SOON)
        return heard.all

    return list(await asyncio.gather(*(fill(speaker) for speaker in DIALECTS)))


@each("listener", DIALECTS)
@each("speaker", DIALECTS)
async def test_mail_is_processed(make: MakeAgent, speaker: str, listener: str) -> None:
    """Mail is stored, handled, and its sender gets a receipt that the recipient signed."""
    alice, bob = make(speaker), make(listener)
    heard = Heard(bob)
    receipts: list[Notice] = []
    alice.on_receipt(receipts.append)
    async with bob, alice:
        sent = await alice.send(bob.did, {"text": "grüß dich", "numbers": [1, 2.5, None, True]})
        await sent.wait_processed(SOON)
        delivery = await heard.next()

    assert {"text": "grüß dich", "numbers": [1, 2.5, None, True]} == delivery.content
    assert alice.did == delivery.sender
    assert ("processed", bob.did) == (receipts[-1].status, receipts[-1].reporter)


@each("listener", DIALECTS)
@each("speaker", DIALECTS)
async def test_call_is_answered(make: MakeAgent, speaker: str, listener: str) -> None:
    """A capability is called with arguments, and its result, or its failure, comes back to the one who asked."""
    alice, bob = make(speaker), make(listener)

    @bob.capability("text.words")
    async def words(args: dict[str, Any]) -> dict[str, int]:
        return {"words": len(args["text"].split())}

    async with bob, alice:
        result = await alice.call(bob.did, capability="text.words", args={"text": "one two three"}, timeout=SOON)
        with pytest.raises(RemoteProblem, match="KeyError"):
            await alice.call(bob.did, capability="text.words", timeout=SOON)
        with pytest.raises(RemoteProblem, match="no_handler"):
            await alice.call(bob.did, capability="text.lines", timeout=SOON)

    assert {"words": 3} == result


@each("listener", DIALECTS)
@each("speaker", DIALECTS)
async def test_reply_stays_in_its_thread(make: MakeAgent, speaker: str, listener: str) -> None:
    """A handler answers with mail, which reaches the one who waits for it and nobody's handler."""
    alice, bob = make(speaker), make(listener)
    heard = Heard(alice)

    @bob.on("MESSAGE")
    async def answer(delivery: Delivery) -> None:
        await delivery.reply(f"you said {delivery.content}")

    async with bob, alice:
        answered = await alice.request(bob.did, Message(content="hello"), timeout=SOON)

    assert ("you said hello", bob.did) == (answered.content, answered.sender)
    assert [] == heard.all


@each("listener", DIALECTS)
@each("speaker", DIALECTS)
async def test_signal_is_handed_over_now(make: MakeAgent, speaker: str, listener: str) -> None:
    """What is worthless tomorrow reaches an agent that is connected, and is refused for one that is not."""
    alice, bob = make(speaker), make(listener)
    heard = Heard(bob, "OFFER")
    async with alice:
        async with bob:
            await alice.signal(bob.did, Offer(sdp="v=0\r\n"))
            delivery = await heard.next()
            round_trip = await alice.ping(bob.did)
        with pytest.raises(RemoteProblem, match="unknown_agent"):
            await _until_refused(alice, bob.did)

    assert Offer(sdp="v=0\r\n") == delivery.body
    assert 0 < round_trip < SOON


async def _until_refused(alice: Agent, did: str) -> None:
    """A relay may believe for a moment that somebody is there who has just left."""
    async with asyncio.timeout(SOON):
        while True:
            await alice.signal(did, Offer(sdp="v=0\r\n"))


@each("watched", DIALECTS)
@each("watcher", DIALECTS)
async def test_presence_is_told_within_a_second(make: MakeAgent, watcher: str, watched: str) -> None:
    """Who watches hears within a second that an agent came, on which road, and that it left."""
    alice, bob = make(watcher), make(watched)
    async with alice, _watching(alice, bob.did) as news:
        before = await _soon(news)
        async with bob:
            came = await _soon(news)
        left = await _soon(news)

    assert not before.online
    assert (bob.did, True, Road.NATS if watched == "nats" else Road.EDGE) == (came.did, came.online, came.road)
    assert (bob.did, False) == (left.did, left.online)


@each("watched", DIALECTS)
async def test_presence_of_the_dead_is_told_within_a_second(
    platform: Platform, make: MakeAgent, workshop: Path, watched: str
) -> None:
    """An agent that is killed is gone for everybody within a second, without a word of its own."""
    url, subprotocol = dialects(platform.endpoints())[watched]
    spec = Spec(label=f"watched-{watched}", folder=str(workshop), url=url, subprotocol=subprotocol)
    did = spec.identity.did
    async with make("nats") as alice, _watching(alice, did) as news:
        before = await _soon(news)
        async with AgentProcess(spec) as bob:
            came = await _soon(news)
            await bob.kill()
            left = await _soon(news)

    assert [False, True, False] == [before.online, came.online, left.online]


@asynccontextmanager
async def _watching(agent: Agent, did: str) -> AsyncIterator["asyncio.Queue[Presence]"]:
    news: asyncio.Queue[Presence] = asyncio.Queue()
    stream = agent.watch([did])

    async def follow() -> None:
        async for presence in stream:
            news.put_nowait(presence)

    task = asyncio.create_task(follow())
    try:
        yield news
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _soon(news: "asyncio.Queue[Presence]") -> Presence:
    async with asyncio.timeout(AT_ONCE):
        return await news.get()


@each("seeker", DIALECTS)
async def test_discovery_finds_by_capability_name_and_presence(make: MakeAgent, seeker: str) -> None:
    """Agents are found by what they can do, by name, and by whether they are there."""
    capability = f"find.{seeker}"
    alice = make(seeker)
    bob, carol = (make(dialect, capabilities=[capability], name=f"{seeker} {dialect}") for dialect in DIALECTS[:2])
    async with alice, bob:
        async with carol:
            both = {card.did async for card in alice.discover(capability=capability)}
        named = [card async for card in alice.discover(name=f"{seeker} binary")]
        online = await _until(lambda: _dids(alice.discover(capability=capability, online=True)), {bob.did})
        card = await alice.resolve(bob.did)

    assert {bob.did, carol.did} == both
    assert [carol.did] == [card.did for card in named]
    assert {bob.did} == online
    assert ((capability,), True, Road.NATS) == (card.capabilities, card.online, card.road)


async def _dids(cards: AsyncIterator[Any]) -> set[str]:
    return {card.did async for card in cards}


async def _until(ask: Callable[[], Any], wanted: Any) -> Any:
    """Ask until the answer is the wanted one: another replica may learn of it a moment later."""
    async with asyncio.timeout(AT_ONCE):
        while (answer := await ask()) != wanted:
            await asyncio.sleep(0.02)
    return answer


@each("second", DIALECTS)
@each("first", DIALECTS)
async def test_mail_waits_for_who_is_away(make: MakeAgent, tmp_path: Path, first: str, second: str) -> None:
    """Mail to an agent that is away is handled once it is back, on any road, each once and in order."""
    identity = Identity.create(tmp_path / "bob.key")
    alice = make("binary")
    async with alice:
        bob = make(first, identity)
        before = Heard(bob)
        async with bob:
            await (await alice.send(bob.did, 0)).wait_processed(SOON)
        sents = [await alice.send(bob.did, number) for number in (1, 2, 3)]
        bob = make(second, identity)
        after = Heard(bob)
        async with bob:
            for sent in sents:
                await sent.wait_processed(SOON)

    assert ([0], [1, 2, 3]) == (before.all, after.all)


async def test_full_mailbox_says_when_to_come_again(platform: Platform) -> None:
    """A mailbox that holds all it may refuses the next envelope by name, with the time of the next try."""
    url = platform.endpoints().nats
    async with native(url) as alice, native(url) as bob:
        answers = [await alice.say(Message(content=number), bob.key.did) for number in range(MAILBOX_MAX + 1)]

    assert [Receipt] * MAILBOX_MAX == [type(answer.body) for answer in answers[:-1]]
    refusal = answers[-1].body
    assert isinstance(refusal, Error)
    assert ("mailbox_full", "CONNECTION_REFUSED", True) == (refusal.problem, refusal.code, refusal.retryable)
    assert 0 < (refusal.retry_after_ms or 0)


@each("second", DIALECTS)
@each("first", DIALECTS)
async def test_second_session_takes_over(make: MakeAgent, first: str, second: str) -> None:
    """Who proves the same key elsewhere is the one live session: the first ends for good, mail reaches the second."""
    identity = Identity.generate()
    alice, old, new = make("binary"), make(first, identity), make(second, identity)
    heard_old, heard_new = Heard(old), Heard(new)
    async with alice, old, new:
        async with asyncio.timeout(SOON):
            with pytest.raises(TakenOver):
                await old.wait_closed()
        await (await alice.send(identity.did, "for the new one")).wait_processed(SOON)

        assert (AgentState.TAKEN_OVER, AgentState.ONLINE) == (old.state, new.state)
    assert ([], ["for the new one"]) == (heard_old.all, heard_new.all)


async def test_sender_hears_that_mail_expired(make: MakeAgent, slow: Slow) -> None:
    """Mail that nobody read in time is gone, and the relay tells its sender; its recipient never sees it."""
    identity, problems = await slow.expired
    bob = make("nats", identity)
    heard = Heard(bob)
    async with bob, make("nats") as alice:
        await (await alice.send(bob.did, "in time")).wait_processed(SOON)

    assert ["expired", "expired"] == problems
    assert ["in time"] == heard.all


async def test_mail_for_a_full_mailbox_arrives_in_the_end(slow: Slow) -> None:
    """What a full mailbox refused waits with its sender, whatever it speaks, and arrives when there is room again."""
    assert [[*range(MAILBOX_MAX), "one more"]] * len(DIALECTS) == await slow.filled
