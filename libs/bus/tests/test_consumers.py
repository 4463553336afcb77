import asyncio
from collections.abc import AsyncIterator

import pytest

from aiconexus.bus.consumers import Delivery, Puller, ensure_consumer
from aiconexus.bus.session import Session
from aiconexus.bus.streams import Streams
from aiconexus.bus.testing import NatsServer
from aiconexus.protocol.errors import BusError, StreamRefused

CONFIG = {"name": "W", "subjects": ["w.*"], "retention": "workqueue"}


@pytest.fixture
async def streams(session: Session) -> Streams:
    """A work queue with one durable consumer."""
    streams = Streams(session)
    await streams.ensure(CONFIG)
    await ensure(session)
    return streams


@pytest.fixture
async def puller(session: Session, streams: Streams) -> AsyncIterator[Puller]:
    """A reader of it."""
    puller = await reader(session)
    yield puller
    await puller.close()


async def ensure(session: Session, ack_wait_seconds: float = 0.5) -> None:
    """Make the consumer of these tests."""
    await ensure_consumer(session, "W", "c", "w.*", ack_wait_seconds=ack_wait_seconds, ack_pending_max=1_000)


async def reader(session: Session, batch: int = 256) -> Puller:
    """Another reader."""
    puller = Puller(session, "W", "c", batch)
    await puller.open()
    return puller


async def take(puller: Puller, count: int) -> list[Delivery]:
    """Take until so many have come."""
    taken: list[Delivery] = []
    async with asyncio.timeout(20):
        while len(taken) < count:
            taken += await puller.take()
    return taken


async def acked(puller: Puller, count: int) -> list[bytes]:
    """Take and acknowledge so many."""
    taken = await take(puller, count)
    for delivery in taken:
        await puller.ack(delivery)
    return [delivery.data for delivery in taken]


async def emptied(streams: Streams) -> None:
    """Wait until the stream has forgotten what was acknowledged."""
    async with asyncio.timeout(5):
        while (await streams.info("W"))["state"]["messages"]:
            continue


async def persist(streams: Streams, subject: str, data: bytes) -> None:
    """Publish until the stream has it."""
    async with asyncio.timeout(20):
        while True:
            try:
                await streams.publish(subject, data, id_=data.decode(), timeout_seconds=0.5)
            except BusError:
                continue
            return


async def test_messages_come_in_order(puller: Puller, streams: Streams) -> None:
    """What was stored before and after the reader came is read in the order of the stream."""
    for number in range(5):
        await streams.publish("w.a", b"%d" % number)

    assert [b"0", b"1", b"2", b"3", b"4"] == await acked(puller, 5)
    await emptied(streams)


async def test_message_comes_at_once(puller: Puller, streams: Streams) -> None:
    """A waiting reader has a message long before its pull ends."""
    taking = asyncio.create_task(take(puller, 1))
    await asyncio.sleep(0)
    await streams.publish("w.a", b"x")
    async with asyncio.timeout(1):
        (delivery,) = await taking

    assert ("w.a", b"x", 1, 1) == (delivery.subject, delivery.data, delivery.sequence, delivery.delivered)


async def test_nothing_is_an_answer(puller: Puller) -> None:
    """A reader that waits in vain gets nothing, and no error."""
    assert [] == await puller.take(0.05)


async def test_unacknowledged_message_comes_again(puller: Puller, streams: Streams) -> None:
    """A message that nobody acknowledges is delivered again, and says so."""
    await streams.publish("w.a", b"x")
    (first,) = await take(puller, 1)
    (second,) = await take(puller, 1)

    assert (1, 2, first.sequence) == (first.delivered, second.delivered, second.sequence)


async def test_message_can_be_put_off(session: Session, streams: Streams) -> None:
    """A message that was put off comes again after the delay, long before it would as unacknowledged."""
    await ensure(session, ack_wait_seconds=60)
    puller = await reader(session)
    await streams.publish("w.a", b"x")
    (first,) = await take(puller, 1)
    await puller.put_off(first, 0.05)
    async with asyncio.timeout(5):
        (again,) = await take(puller, 1)

    assert 2 == again.delivered


async def test_readers_divide_the_work(session: Session, streams: Streams) -> None:
    """Each message goes to one of two readers."""
    one, other = await reader(session, batch=4), await reader(session, batch=4)
    for number in range(20):
        await streams.publish("w.a", b"%d" % number)
    seen: list[bytes] = []
    async with asyncio.timeout(10):
        while len(seen) < 20:
            for puller in (one, other):
                for delivery in await puller.take(0.05):
                    seen.append(delivery.data)
                    await puller.ack(delivery)

    assert sorted(b"%d" % number for number in range(20)) == sorted(seen)


async def test_reader_takes_more_than_one_pull(session: Session, streams: Streams) -> None:
    """A reader goes on pulling when a batch is used up."""
    puller = await reader(session, batch=3)
    for number in range(10):
        await streams.publish("w.a", b"%d" % number)

    assert [b"%d" % number for number in range(10)] == await acked(puller, 10)


async def test_reader_survives_a_killed_server(puller: Puller, streams: Streams, server: NatsServer) -> None:
    """After SIGKILL of the server in the middle of a pull every message still comes, soon after it is back."""
    await streams.publish("w.a", b"before")
    assert [b"before"] == await acked(puller, 1)
    taking = asyncio.create_task(acked(puller, 2))
    await asyncio.sleep(0)
    await server.kill()
    await server.start()
    await persist(streams, "w.a", b"1")
    await persist(streams, "w.b", b"2")

    assert {b"1", b"2"} <= set(await taking)


async def test_consumer_outlives_its_reader(session: Session, puller: Puller, streams: Streams) -> None:
    """What a reader left unacknowledged is read by the next one."""
    await streams.publish("w.a", b"x")
    await take(puller, 1)
    await puller.close()

    assert [b"x"] == await acked(await reader(session), 1)


async def test_consumer_is_brought_to_its_configuration(session: Session, streams: Streams) -> None:
    """Ensuring a consumer again with another time-out changes it; one of a stream that is not there is refused."""
    await ensure(session, ack_wait_seconds=9)
    with pytest.raises(StreamRefused):
        await ensure_consumer(session, "NONE", "c", "w.*", ack_wait_seconds=1, ack_pending_max=1)
