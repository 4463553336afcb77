"""A mailbox that holds what no honest relay would keep, read by a real agent over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from libs.sdk.tests.wire import SECONDS, Wire, sealed, serving

from aiconexus.bus.clock import new_id
from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import Error, ExecRequest, ExecResponse, Message, ReceiptStatus
from aiconexus.protocol.seal import wrap
from aiconexus.protocol.signal_bodies import Offer
from aiconexus.sdk import Agent, Delivery, Identity

ALICE = new_key()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """The other end."""
    async with serving(Wire()) as wire:
        yield wire


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    """The reader, the same in every life."""
    return Identity.create(tmp_path / "bob.key")


class Reader:
    """An agent and what its handler got."""

    def __init__(self, identity: Identity, url: str, **options: Any) -> None:
        self.agent = Agent(identity, url, **options)
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.agent.on_error(self.errors.put_nowait)
        self.agent.on("MESSAGE")(self._handle)

    async def _handle(self, delivery: Delivery) -> None:
        self.heard.put_nowait(delivery.content)

    async def contents(self, count: int) -> list[Any]:
        """What the next messages say."""
        async with asyncio.timeout(SECONDS):
            return [await self.heard.get() for _ in range(count)]


def mail(to: str, content: Any, **fields: Any) -> bytes:
    """A message of Alice."""
    return sealed(ALICE, Message(content=content), to, **fields)


async def test_copies_without_a_gap_are_read_as_they_come(wire: Wire, identity: Identity) -> None:
    """Nothing is fetched again as long as each copy follows the one before."""
    reader = Reader(identity, wire.url)
    async with reader.agent:
        for sequence, previous in ((3, 0), (4, 3), (9, 4)):
            await wire.push(mail(identity.did, sequence), sequence, previous)
        contents = await reader.contents(3)
        await wire.acked_up_to(9)

    assert [3, 4, 9] == contents
    assert [0] == wire.fetched


async def test_gap_is_filled_before_what_follows(wire: Wire, identity: Identity) -> None:
    """A copy whose predecessor is missing makes the agent fetch, and order holds."""
    reader = Reader(identity, wire.url)
    async with reader.agent:
        await wire.push(mail(identity.did, 1), 1, 0)
        await reader.contents(1)
        wire.keep(mail(identity.did, 2), 2)
        await wire.push(mail(identity.did, 3), 3, 2)
        contents = await reader.contents(2)
        await wire.acked_up_to(3)

    assert [2, 3] == contents
    assert reader.agent.counts.gaps == 1
    assert reader.heard.empty()


async def test_late_and_doubled_copies_are_dropped(wire: Wire, identity: Identity) -> None:
    """What was read is not read again."""
    reader = Reader(identity, wire.url)
    async with reader.agent:
        first, second = mail(identity.did, 1), mail(identity.did, 2)
        for data, sequence, previous in ((first, 1, 0), (first, 1, 0), (second, 2, 1), (first, 1, 0)):
            await wire.push(data, sequence, previous)
        contents = await reader.contents(2)
        await wire.acked_up_to(2)

    assert [1, 2] == contents
    assert reader.heard.empty()


async def test_cursor_survives_the_process(wire: Wire, identity: Identity) -> None:
    """The next life reads on where the last one was acknowledged."""
    first = Reader(identity, wire.url)
    async with first.agent:
        await wire.push(mail(identity.did, 1), 7, 0)
        await first.contents(1)
        await wire.acked_up_to(7)
    second = Reader(identity, wire.url)
    wire.keep(mail(identity.did, 2), 8)
    async with second.agent:
        contents = await second.contents(1)

    assert [2] == contents
    assert [0, 7] == wire.fetched


async def test_same_id_is_handled_once(wire: Wire, identity: Identity) -> None:
    """An envelope that is stored twice runs one handler, in this life and the next, and is receipted again."""
    data = mail(identity.did, "once")
    reader = Reader(identity, wire.url)
    async with reader.agent:
        await wire.push(data, 1, 0)
        await wire.next_receipt(ReceiptStatus.PROCESSED)
        await wire.push(data, 2, 1)
        await wire.next_receipt(ReceiptStatus.PROCESSED)
    again = Reader(identity, wire.url)
    async with again.agent:
        await wire.push(data, 3, 2)
        await wire.next_receipt(ReceiptStatus.PROCESSED)

    assert reader.heard.qsize() == 1
    assert again.heard.empty()


async def test_other_content_under_an_id_is_a_conflict(wire: Wire, identity: Identity) -> None:
    """Whoever reuses an id is told, and the handler does not run."""
    id_ = new_id()
    reader = Reader(identity, wire.url)
    async with reader.agent:
        await wire.push(mail(identity.did, "first", id_=id_), 1, 0)
        await wire.push(mail(identity.did, "second", id_=id_), 2, 1)
        complaint = await wire.next_submitted("ERROR")
        contents = await reader.contents(1)
        await wire.acked_up_to(2)

    assert isinstance(complaint.body, Error)
    assert (complaint.body.problem, complaint.envelope.in_reply_to) == ("conflict", id_)
    assert ["first"] == contents
    assert reader.heard.empty()


async def test_repeated_call_gets_the_stored_answer(wire: Wire, identity: Identity) -> None:
    """A call that comes twice runs once and is answered twice, bit for bit, also after a restart."""
    runs: list[int] = []

    def agent() -> Agent:
        agent = Agent(identity, wire.url)

        @agent.capability("count")
        async def count(_: dict[str, Any]) -> int:
            runs.append(1)
            return len(runs)

        return agent

    data = sealed(ALICE, ExecRequest(capability="count"), identity.did)
    answers = []
    async with agent():
        await wire.push(data, 1, 0)
        answers.append(await wire.next_submitted("EXEC_RESPONSE"))
        await wire.acked_up_to(1)
        await wire.push(data, 2, 1)
        answers.append(await wire.next_submitted("EXEC_RESPONSE"))
    async with agent():
        await wire.push(data, 3, 2)
        answers.append(await wire.next_submitted("EXEC_RESPONSE"))
    bodies = [letter.body for letter in answers]

    assert [1] == runs
    assert [1, 1, 1] == [body.result for body in bodies if isinstance(body, ExecResponse)]
    assert len({wrap(letter.sealed) for letter in answers}) == 1


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(lambda did: mail(did, "x")[:-1] + b"\xff", id="forged signature"),
        pytest.param(lambda _: mail(new_key().did, "x"), id="for somebody else"),
        pytest.param(lambda did: sealed(ALICE, Offer(sdp="v=0"), did), id="live type"),
        pytest.param(lambda did: sealed(ALICE, Message(content="x"), did, now_ms=2**45), id="from the future"),
        pytest.param(lambda _: sealed(ALICE, Message(content="x"), "did:key:zNobody"), id="for no key"),
    ],
)
async def test_poison_does_not_block(wire: Wire, identity: Identity, poison: Any) -> None:
    """What is not acceptable is counted, told, acknowledged, and passed over, in a copy as in a page."""
    reader = Reader(identity, wire.url)
    wire.keep(poison(identity.did), 1)
    wire.keep(mail(identity.did, "fetched"), 2)
    async with reader.agent:
        fetched = await reader.contents(1)
        await wire.push(poison(identity.did), 3, 2)
        await wire.push(mail(identity.did, "pushed"), 4, 3)
        pushed = await reader.contents(1)
        await wire.acked_up_to(4)

    assert ["fetched", "pushed"] == fetched + pushed
    assert reader.agent.counts.poison == 2
    assert reader.errors.qsize() == 2


async def test_expired_mail_is_not_handled_and_its_sender_is_told(wire: Wire, identity: Identity) -> None:
    """Too late is too late, and somebody must say so."""
    reader = Reader(identity, wire.url)
    async with reader.agent:
        await wire.push(mail(identity.did, "late", now_ms=1_000_000, expires_ms=1_000_001), 1, 0)
        item = await wire.next_receipt(ReceiptStatus.EXPIRED)
        await wire.acked_up_to(1)

    assert item.problem == "expired"
    assert reader.heard.empty()


async def test_slow_handler_is_told_as_delivered_first(wire: Wire, identity: Identity) -> None:
    """A sender hears that its envelope has arrived while the handler is still at work."""
    release = asyncio.Event()
    agent = Agent(identity, wire.url)

    @agent.on("MESSAGE")
    async def wait(_: Delivery) -> None:
        await release.wait()

    async with agent:
        await wire.push(mail(identity.did, 1, id_="slow"), 1, 0)
        delivered = await wire.next_receipt(ReceiptStatus.DELIVERED)
        release.set()
        processed = await wire.next_receipt(ReceiptStatus.PROCESSED)

    assert ["slow", "slow"] == [delivered.id, processed.id]


async def test_open_entry_is_not_acknowledged(wire: Wire, identity: Identity) -> None:
    """The relay keeps what stands behind an envelope that is still at work."""
    release, done = asyncio.Event(), asyncio.Event()
    agent = Agent(identity, wire.url)

    @agent.on("MESSAGE")
    async def handle(delivery: Delivery) -> None:
        if delivery.content == "slow":
            await release.wait()
        else:
            done.set()

    async with agent:
        await wire.push(mail(identity.did, "slow"), 1, 0)
        await wire.push(sealed(new_key(), Message(content="fast"), identity.did), 2, 1)
        await done.wait()
        before = wire.acked.empty()
        release.set()
        await wire.acked_up_to(2)

    assert before


@pytest.mark.parametrize(("policy", "runs_again"), [("dead_letter", False), ("rerun", True)])
async def test_interrupted_handler(wire: Wire, identity: Identity, policy: str, runs_again: bool) -> None:
    """What was cut off is a dead letter, unless its handler may run again."""
    began = asyncio.Event()
    first = Agent(identity, wire.url, grace=0.0)

    @first.on("MESSAGE", interrupted=policy)
    async def hang(_: Delivery) -> None:
        began.set()
        await asyncio.Event().wait()

    async with first:
        await wire.push(mail(identity.did, "work", id_="work"), 1, 0)
        async with asyncio.timeout(SECONDS):
            await began.wait()
    second = Reader(identity, wire.url)
    expected = ReceiptStatus.PROCESSED if runs_again else ReceiptStatus.DEAD_LETTERED
    async with second.agent:
        item = await wire.next_receipt(expected)
        await wire.acked_up_to(1)

    assert ("work", None if runs_again else "handler_interrupted") == (item.id, item.problem)
    assert runs_again is not second.heard.empty()


async def test_untold_end_is_told_by_the_next_process(wire: Wire, identity: Identity) -> None:
    """A crash between a handler's end and its receipt loses no receipt."""
    reader = Reader(identity, wire.url)
    wire.drops = 10**6
    async with reader.agent:
        await wire.push(mail(identity.did, "work", id_="work"), 1, 0)
        await reader.contents(1)
    wire.drops = 0
    while not wire.submitted.empty():
        wire.submitted.get_nowait()
    async with Reader(identity, wire.url).agent:
        item = await wire.next_receipt(ReceiptStatus.PROCESSED)

    assert item.id == "work"


async def test_agent_without_handlers_leaves_its_mail_alone(wire: Wire, identity: Identity) -> None:
    """Who has only come to send keeps its mail for a process that can handle it."""
    wire.keep(mail(identity.did, "hello"), 1)
    async with Agent(identity, wire.url) as sender:
        await sender.send(ALICE.did, "hello")
    reader = Reader(identity, wire.url)
    async with reader.agent:
        contents = await reader.contents(1)

    assert ["hello"] == contents
