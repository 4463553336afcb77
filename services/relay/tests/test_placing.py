import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiconexus.bus.clock import now_ms
from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Error, Receipt, ReceiptItem
from aiconexus.protocol.records import MAILBOX
from aiconexus.protocol.seal import Codec, unseal
from aiconexus.relay.doubles import Doubles
from aiconexus.relay.mailbox import stream_config
from aiconexus.relay.placing import Offer, Placer
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.answers import Answers, Ask, counters_of
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.testing import counted
from aiconexus.runtime.voice import Voice

from .world import Agent, World


@asynccontextmanager
async def placer(world: World, **options: Any) -> AsyncIterator[Placer]:
    """A placer at work, on a bus that may have no stream."""
    session = await world.session("relay")
    # Nobody asked for these answers, and signaling may speak to an agent unasked.
    telling = await world.session("signaling")
    answers = Answers(telling, Voice(world.keys["relay"]), Refusals("relay", world.lines.log), counters_of("relay"))
    given: dict[str, Any] = {"budget_seconds": 20, "pending_max": 100, "pending_max_bytes": 10**6} | options
    doubles = Doubles(Streams(session), answers, budget_seconds=20, waiting_max=100, mailbox_max=10)
    placer = Placer(session, answers, on_double=doubles.take, mailbox_max=10, monotonic=time.monotonic, **given)
    await placer.open()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in (placer.run(), answers.run())]
        yield placer
        for task in running:
            task.cancel()


def offer(ann: Agent, bob: Agent, content: object) -> Offer:
    """From Ann to Bob; the answer comes to Ann's live inbox."""
    data = ann.mail(bob, content)
    ask = Ask(ann.did, Codec.MSGPACK, subjects.inbox_live(ann.key.token))
    id_ = unseal(data).envelope.id
    return Offer(ask, ann.key.token, id_, bob.did, bob.key.token, now_ms() + 60_000, data, time.monotonic())


async def make_stream(world: World) -> Streams:
    """Let the mailboxes be there."""
    streams = Streams(await world.session("relay"))
    settings = RelaySettings(seed=world.keys["relay"].seed, directory_file="")
    await streams.ensure(stream_config(settings))
    return streams


async def test_offers_wait_for_the_stream_and_keep_their_order(world: World, ann: Agent, bob: Agent) -> None:
    """While the stream does not answer, offers wait; when it does, all are stored as they came, and answered."""
    heard = await ann.hear("live")
    again = counted("aiconexus_relay_offers_repeated_total")
    async with placer(world) as placing, asyncio.timeout(20):
        offers = [offer(ann, bob, number) for number in range(20)]
        for one in offers:
            await placing.place(one)
        streams = await make_stream(world)
        items: list[ReceiptItem] = []
        while len(items) < len(offers):
            body = unseal((await heard.get()).data).body
            assert isinstance(body, Receipt)
            items += [item for item in body.items if item.id not in {known.id for known in items}]
        page = await streams.batch(MAILBOX, subjects.stored(bob.key.token), 0, limit=100, max_bytes=10**6)

    assert [one.data for one in offers] == [stored.data for stored in page.items]
    assert [(one.id, number, False) for number, one in enumerate(offers, 1)] == [
        (item.id, item.sequence, item.duplicate) for item in items
    ]
    assert counted("aiconexus_relay_offers_repeated_total") > again


async def test_an_offer_is_given_up_when_its_time_is_over(world: World, ann: Agent, bob: Agent) -> None:
    """The sender is told to try again, and nothing is kept."""
    heard = await ann.hear("live")
    async with placer(world, budget_seconds=0.2) as placing, asyncio.timeout(5):
        await placing.place(offer(ann, bob, 1))
        body = unseal((await heard.get()).data).body
        assert isinstance(body, Error)
        left = placing.pending

    assert (body.problem, body.retryable, left) == ("timeout", True, 0)


async def test_what_waits_is_bounded(world: World, ann: Agent, bob: Agent) -> None:
    """In number and in bytes."""
    async with placer(world, pending_max=2) as few, placer(world, pending_max_bytes=400) as small:
        room = []
        for placing in (few, small):
            for number in range(2):
                await placing.place(offer(ann, bob, number))
                room.append(placing.has_room())

    assert room == [True, False, True, False]
