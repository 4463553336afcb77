import asyncio

import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.session import Session
from aiconexus.bus.testing import NatsServer
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import BusError, StreamRefused, WrongRevision


class Seen:
    def __init__(self) -> None:
        self.changes: list[tuple[str, bytes | None]] = []
        self.happened = asyncio.Condition()

    def note(self, key: str, value: bytes | None, _: int) -> None:
        self.changes.append((key, value))

    async def until(self, change: tuple[str, bytes | None]) -> None:
        async with asyncio.timeout(10):
            while change not in self.changes:
                await asyncio.sleep(0.01)


async def test_a_value_is_written_read_and_deleted(session: Session) -> None:
    """A key holds its newest value until it is deleted."""
    bucket = await Bucket.ensure(session, "T")
    await bucket.put("a", b"1")
    await bucket.put("a", b"2")
    entry = await bucket.get("a")
    await bucket.delete("a")

    assert entry is not None
    assert entry.value == b"2"
    assert await bucket.get("a") is None
    assert await bucket.get("never") is None


async def test_only_one_creates(session: Session) -> None:
    """A key that has a value cannot be created, one that was deleted can."""
    bucket = await Bucket.ensure(session, "T")
    await bucket.create("a", b"1")
    with pytest.raises(WrongRevision):
        await bucket.create("a", b"2")
    await bucket.delete("a")
    await bucket.create("a", b"3")
    entry = await bucket.get("a")

    assert entry is not None
    assert entry.value == b"3"


async def test_an_update_needs_the_newest_revision(session: Session) -> None:
    """Two writers with the same revision: one of them is told."""
    bucket = await Bucket.ensure(session, "T")
    revision = await bucket.put("a", b"1")
    await bucket.update("a", b"2", revision)
    with pytest.raises(WrongRevision):
        await bucket.update("a", b"3", revision)
    with pytest.raises(WrongRevision):
        await bucket.delete("a", revision)


async def test_a_bucket_that_is_not_there_is_an_error(session: Session) -> None:
    """Reading a bucket that nobody made is refused, not empty."""
    with pytest.raises(BusError):
        await Bucket(session, "NONE").get("a")


async def test_a_watch_tells_what_is_there_and_what_comes(session: Session) -> None:
    """First everything that is there, then the current mark, then each change in order."""
    bucket = await Bucket.ensure(session, "T")
    await bucket.put("a", b"1")
    await bucket.put("b", b"1")
    seen = Seen()
    watch = await bucket.watch(seen.note, lambda: seen.changes.append(("current", None)))
    await bucket.put("a", b"2")
    await bucket.delete("b")
    await seen.until(("b", None))
    await watch.stop()

    assert seen.changes == [("a", b"1"), ("b", b"1"), ("current", None), ("a", b"2"), ("b", None)]


async def test_a_watch_hears_of_an_expiry(session: Session) -> None:
    """A value that outlived its time is told as gone, and can be created again."""
    bucket = await Bucket.ensure(session, "T", ttl_seconds=1)
    seen = Seen()
    watch = await bucket.watch(seen.note, renewal_seconds=0.2)
    await bucket.create("a", b"1")
    await seen.until(("a", None))
    await bucket.create("a", b"2")
    await seen.until(("a", b"2"))
    await watch.stop()


async def test_a_watch_survives_the_server(session: Session, server: NatsServer) -> None:
    """What is written after a SIGKILL of the server is told by the old watch."""
    bucket = await Bucket.ensure(session, "T")
    seen = Seen()
    watch = await bucket.watch(seen.note, renewal_seconds=0.2)
    await server.kill()
    await server.start()
    async with asyncio.timeout(20):
        while not seen.changes:
            try:
                await bucket.put("a", b"after")
            except BusError:
                continue
            await seen.until(("a", b"after"))
    await watch.stop()

    assert seen.changes[0] == ("a", b"after")


async def test_a_watch_begins_anew_with_its_bucket(session: Session) -> None:
    """A bucket that was lost with its servers' memory and made again is followed again."""
    bucket = await Bucket.ensure(session, "T", memory=True)
    seen = Seen()
    watch = await bucket.watch(seen.note)
    for value in (b"1", b"2", b"3"):
        await bucket.put("a", value)
    await seen.until(("a", b"3"))
    await session.request(subjects.stream_api("DELETE", subjects.bucket_stream("T")), b"")
    again = await Bucket.ensure(session, "T", memory=True)
    await again.put("b", b"4")
    await seen.until(("b", b"4"))
    await again.put("b", b"5")
    await seen.until(("b", b"5"))
    await watch.stop()


async def test_many_writes_reach_the_watch_in_order(session: Session) -> None:
    """A thousand writes of one key are told in their order, the last one at the latest."""
    bucket = await Bucket.ensure(session, "T")
    seen = Seen()
    watch = await bucket.watch(seen.note)
    for number in range(1000):
        await bucket.put("a", b"%d" % number)
    await seen.until(("a", b"999"))
    await watch.stop()
    numbers = [int(value or b"-1") for _, value in seen.changes]

    assert numbers == sorted(numbers)


async def test_a_full_bucket_refuses(session: Session) -> None:
    """A bucket of bounded size says no instead of forgetting."""
    bucket = await Bucket.ensure(session, "T", max_bytes=2_000)
    for number in range(10):
        await bucket.put(f"k{number}", b"x" * 100)
    with pytest.raises(StreamRefused):
        await asyncio.gather(*(bucket.put(f"l{number}", b"x" * 100) for number in range(10)))
