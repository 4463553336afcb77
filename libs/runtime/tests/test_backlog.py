import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import REGISTRY

from aiconexus.bus.client import Message
from aiconexus.bus.session import Incoming
from aiconexus.runtime.backlog import MESSAGES_PER_TURN, Backlog

DROPPED = "aiconexus_runtime_requests_dropped_total"


def message(data: bytes) -> Incoming:
    """Something that arrived."""
    return Message("s", "", data, None)


@asynccontextmanager
async def at_work(backlog: Backlog) -> AsyncIterator[None]:
    """Its worker, for the length of a block."""
    worker = asyncio.create_task(backlog.run())
    yield
    worker.cancel()
    await asyncio.wait([worker])


async def test_messages_are_worked_on_in_their_order_whatever_one_raises() -> None:
    """An exception is told, and the next message has its turn."""
    done: list[bytes] = []
    errors: list[Exception] = []

    async def work(incoming: Incoming) -> None:
        done.append(incoming.data)
        if incoming.data == b"2":
            raise LookupError

    backlog = Backlog(work, errors.append)
    async with at_work(backlog), asyncio.timeout(5):
        for data in (b"1", b"2", b"3"):
            await backlog.put(message(data))
        await backlog.settle()
        await backlog.put(message(b"4"))
        await backlog.settle()
        await backlog.settle()

    assert done == [b"1", b"2", b"3", b"4"]
    assert [LookupError] == [type(error) for error in errors]


async def test_others_have_their_turn_while_much_is_worked_on() -> None:
    """What was sent has to leave, and the socket to be read, before all that has come is done."""
    count = 10 * MESSAGES_PER_TURN
    done: list[bytes] = []

    async def work(incoming: Incoming) -> None:
        done.append(incoming.data)

    backlog = Backlog(work, lambda error: pytest.fail(str(error)))
    for _ in range(count):
        await backlog.put(message(b""))
    seen = [0]
    async with at_work(backlog):
        while seen[-1] < count:
            await asyncio.sleep(0)
            seen.append(len(done))

    assert max(after - before for before, after in pairwise(seen)) <= MESSAGES_PER_TURN


async def test_settling_waits_for_the_one_in_hand() -> None:
    """What is being worked on counts as well as what waits."""
    gate = asyncio.Event()
    done: list[Any] = []

    async def work(incoming: Incoming) -> None:
        await gate.wait()
        done.append(incoming.data)

    backlog = Backlog(work, done.append)
    async with at_work(backlog), asyncio.timeout(5):
        await backlog.put(message(b"1"))
        settling = asyncio.create_task(backlog.settle())
        await asyncio.sleep(0)
        gate.set()
        await settling

    assert done == [b"1"]


async def test_what_finds_no_room_is_dropped_and_counted() -> None:
    """The queue is bounded in messages and in bytes."""
    done: list[Any] = []

    async def work(incoming: Incoming) -> None:
        done.append(incoming.data)

    before = REGISTRY.get_sample_value(DROPPED) or 0
    for backlog in (Backlog(work, done.append, messages_max=2), Backlog(work, done.append, bytes_max=2)):
        for data in (b"1", b"2", b"3"):
            await backlog.put(message(data))
        async with at_work(backlog), asyncio.timeout(5):
            await backlog.settle()

    assert done == [b"1", b"2"] * 2
    assert (REGISTRY.get_sample_value(DROPPED) or 0) - before == 2
