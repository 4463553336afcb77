import asyncio

import pytest

from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import NatsServer
from aiconexus.protocol.errors import NoResponders, RequestTimedOut


async def echo(session: Session) -> None:
    """Answer every request with what it says."""

    async def answer(incoming: Incoming) -> None:
        await session.publish(incoming.reply, incoming.data)

    await session.subscribe("echo", answer)


async def test_each_request_gets_its_own_answer(session: Session) -> None:
    """Many requests under way at once are not confused."""
    await echo(session)
    answers = await asyncio.gather(*(session.request("echo", b"%d" % number) for number in range(100)))

    assert [b"%d" % number for number in range(100)] == [answer.data for answer in answers]


async def test_missing_answer_and_missing_service_differ(session: Session) -> None:
    """A service that says nothing is waited for; one that is not there is known at once."""

    async def ignore(_: Incoming) -> None:
        return

    await session.subscribe("silent", ignore)
    with pytest.raises(RequestTimedOut):
        await session.request("silent", b"", timeout_seconds=0.05)
    with pytest.raises(NoResponders):
        await session.request("nobody", b"", timeout_seconds=5)


async def test_cancellation_wins_over_an_answer(session: Session) -> None:
    """A task that is cancelled in the moment in which its answer comes ends nevertheless."""
    asked: list[Incoming] = []

    async def note(incoming: Incoming) -> None:
        asked.append(incoming)

    await session.subscribe("late", note)
    task = asyncio.create_task(session.request("late", b""))
    async with asyncio.timeout(5):
        while not asked:
            await asyncio.sleep(0)
    future = next(iter(session._replies._waiting.values()))
    future.set_result(asked[0])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_requests_go_on_after_a_restart(session: Session, server: NatsServer) -> None:
    """After the server was killed and started again, requests are answered as before."""
    await echo(session)
    assert b"1" == (await session.request("echo", b"1")).data
    await server.kill()
    await server.start()
    await session.barrier(10)

    assert b"2" == (await session.request("echo", b"2")).data
