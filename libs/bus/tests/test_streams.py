import pytest

from aiconexus.bus.session import Session
from aiconexus.bus.streams import Placed, Streams
from aiconexus.bus.testing import NatsServer
from aiconexus.protocol.errors import BusError, StreamRefused

CONFIG = {
    "name": "S",
    "subjects": ["s.*"],
    "allow_direct": True,
    "max_msgs_per_subject": 5,
    "discard": "new",
    "discard_new_per_subject": True,
    "duplicate_window": 60 * 10**9,
}


@pytest.fixture
async def streams(session: Session) -> Streams:
    """A stream S that keeps five messages of each subject."""
    streams = Streams(session)
    await streams.ensure(CONFIG)
    return streams


async def test_a_stream_is_brought_to_its_configuration(streams: Streams) -> None:
    """Ensuring an existing stream with another limit changes the limit."""
    await streams.ensure({**CONFIG, "max_msgs_per_subject": 6})
    info = await streams.info("S")

    assert info["config"]["max_msgs_per_subject"] == 6


async def test_a_stream_that_takes_most_of_the_disk_is_ensured_again(session: Session) -> None:
    """A service that comes back finds its stream, though there is no room for another one of that size."""
    streams = Streams(session)
    config = {**CONFIG, "max_bytes": 600_000_000}
    await streams.ensure(config)
    await streams.ensure(config)
    with pytest.raises(StreamRefused) as caught:
        await streams.ensure({"name": "T", "subjects": ["t.*"], "max_bytes": 600_000_000})

    assert caught.value.code == 10047


async def test_an_id_is_stored_once(streams: Streams) -> None:
    """The second publish of an id gets the first one's place."""
    assert await streams.publish("s.a", b"1", id_="x") == Placed(1)
    assert await streams.publish("s.a", b"1", id_="x") == Placed(1, duplicate=True)


async def test_a_full_subject_refuses_the_new_one_only(streams: Streams) -> None:
    """The sixth message is refused with the server's code; another subject is not."""
    for _ in range(5):
        await streams.publish("s.full", b"")
    with pytest.raises(StreamRefused) as caught:
        await streams.publish("s.full", b"")

    assert caught.value.code == 10077
    assert (await streams.publish("s.other", b"")).sequence == 6


async def test_a_batch_reads_one_subject_in_order(streams: Streams) -> None:
    """Behind the cursor, as many as asked for, and how many wait."""
    for number in range(4):
        await streams.publish("s.a", b"%d" % number)
        await streams.publish("s.b", b"")
    page = await streams.batch("S", "s.a", 1, limit=2, max_bytes=10_000)

    assert [(item.sequence, item.data) for item in page.items] == [(3, b"1"), (5, b"2")]
    assert page.pending == 1


async def test_an_empty_batch_is_no_error(streams: Streams) -> None:
    """Nothing behind the cursor is an empty page."""
    page = await streams.batch("S", "s.none", 0, limit=2, max_bytes=10_000)

    assert (page.items, page.pending) == ((), 0)


async def test_purge_forgets_up_to_a_sequence(streams: Streams) -> None:
    """A cumulative acknowledgement leaves what is behind it and what is not its subject's."""
    for _ in range(3):
        await streams.publish("s.a", b"")
    await streams.publish("s.b", b"")

    assert await streams.purge("S", "s.a", 2) == 2
    assert [item.sequence for item in (await streams.batch("S", "s.*", 0, limit=9, max_bytes=9999)).items] == [3, 4]


async def test_one_message_can_be_read_and_deleted(streams: Streams) -> None:
    """Deleting twice says that the second time nothing was there."""
    await streams.publish("s.a", b"x", headers={"Colour": "red"})
    stored = await streams.get("S", 1)

    assert stored is not None
    assert (stored.data, stored.headers["Colour"]) == (b"x", "red")
    assert await streams.delete("S", 1) is True
    assert await streams.delete("S", 1) is False
    assert await streams.get("S", 1) is None


async def test_what_was_acknowledged_survives_a_kill(streams: Streams, server: NatsServer) -> None:
    """After a SIGKILL of the server every acknowledged message is there."""
    for number in range(5):
        await streams.publish("s.a", b"%d" % number)
    await server.kill()
    await server.start()
    while True:
        try:
            page = await streams.batch("S", "s.a", 0, limit=9, max_bytes=9999, timeout_seconds=1)
            break
        except BusError:
            continue

    assert [item.data for item in page.items] == [b"0", b"1", b"2", b"3", b"4"]


async def test_the_leader_knows_what_is_there(streams: Streams) -> None:
    """A message is there until it is deleted; one that never was is not."""
    await streams.publish("s.a", b"1")

    assert await streams.has("S", 1)
    assert await streams.delete("S", 1)
    assert not await streams.has("S", 1)
    assert not await streams.has("S", 2)


async def test_the_newest_message_of_a_subject_is_read(streams: Streams) -> None:
    """The last one wins; a subject without messages has none, and a purge without an end leaves nothing."""
    await streams.publish("s.a", b"1")
    await streams.publish("s.a", b"2")
    newest = await streams.last("S", "s.a")

    assert newest is not None
    assert (b"2", 2) == (newest.data, newest.sequence)
    assert await streams.last("S", "s.b") is None
    assert await streams.purge("S", "s.a") == 2
    assert await streams.last("S", "s.a") is None


async def test_the_leader_is_asked_for_the_newest(streams: Streams) -> None:
    """Its word is the same as that of any other server that has heard of everything; of nothing it says None."""
    await streams.publish("s.a", b"1")
    await streams.publish("s.a", b"\x00\xff")
    last, newest = await streams.last("S", "s.a"), await streams.newest("S", "s.a")

    assert last is not None
    assert newest is not None
    assert (last.sequence, last.subject, last.data) == (newest.sequence, newest.subject, newest.data)
    assert await streams.newest("S", "s.b") is None
    with pytest.raises(StreamRefused):
        await streams.newest("T", "s.a")
