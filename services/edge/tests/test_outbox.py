"""Frames on their way to a reader who may be slow, or gone."""

import asyncio

import pytest
from aiohttp import WSMsgType

from aiconexus.edge.outbox import Outbox

BINARY = WSMsgType.BINARY


class Reader:
    """Takes frames, unless it is told to stand still."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.is_gone = False
        self.complaints = 0

    async def write(self, frame: bytes, _: WSMsgType) -> None:
        if self.is_gone:
            raise ConnectionResetError
        await self.ready.wait()
        self.read.append(frame)

    def complain(self) -> None:
        self.complaints += 1

    async def has(self, count: int) -> list[bytes]:
        async with asyncio.timeout(2):
            while len(self.read) < count:
                await asyncio.sleep(0)
        return self.read


def outbox(reader: Reader, messages_max: int = 10, bytes_max: int = 100) -> Outbox:
    """An outbox towards a reader."""
    return Outbox(reader.write, reader.complain, messages_max=messages_max, bytes_max=bytes_max)


async def test_nothing_is_written_before_it_opens() -> None:
    """What comes too early waits behind the first frame."""
    reader = Reader()
    box = outbox(reader)
    box.put(b"2", BINARY)
    box.put(b"3", BINARY)
    box.open(b"1", BINARY)
    box.put(b"4", BINARY)

    assert [b"1", b"2", b"3", b"4"] == await reader.has(4)


async def test_order_is_kept_over_pauses() -> None:
    """A reader that stands still for a while gets everything in order."""
    reader = Reader()
    box = outbox(reader)
    box.open(b"0", BINARY)
    reader.ready.clear()
    for number in range(1, 5):
        box.put(b"%d" % number, BINARY)
    reader.ready.set()

    assert [b"0", b"1", b"2", b"3", b"4"] == await reader.has(5)


@pytest.mark.parametrize(("messages_max", "bytes_max", "fit"), [(3, 100, 3), (10, 45, 4)], ids=["messages", "bytes"])
async def test_slow_reader_is_complained_of(messages_max: int, bytes_max: int, fit: int) -> None:
    """Beyond either bound a frame is dropped and the owner is told."""
    reader = Reader()
    box = outbox(reader, messages_max, bytes_max)
    for _ in range(fit + 1):
        box.put(b"x" * 10, BINARY)

    assert (fit, 1) == (len(box), reader.complaints)


async def test_close_waits_for_what_is_there() -> None:
    """What waits is written before the end, if the reader takes it in time."""
    reader = Reader()
    box = outbox(reader)
    box.open(b"1", BINARY)
    box.put(b"2", BINARY)
    await box.close(1.0)
    box.put(b"3", BINARY)

    assert ([b"1", b"2"], 0) == (reader.read, len(box))


async def test_close_does_not_wait_for_ever() -> None:
    """A reader that stands still delays the end by no more than the time given."""
    reader = Reader()
    reader.ready.clear()
    box = outbox(reader)
    box.open(b"1", BINARY)
    async with asyncio.timeout(1):
        await box.close(0.05)

    assert [] == reader.read


async def test_reader_that_is_gone_ends_it() -> None:
    """After a lost connection nothing piles up."""
    reader = Reader()
    reader.is_gone = True
    box = outbox(reader, messages_max=2)
    box.open(b"1", BINARY)
    await box.close(1.0)
    for _ in range(5):
        box.put(b"x", BINARY)

    assert (0, 0) == (len(box), reader.complaints)
