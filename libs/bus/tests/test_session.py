import asyncio
import os
import signal
import socket
from typing import Any

import pytest

from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.sockets import SILENCE_SECONDS
from aiconexus.bus.testing import NatsServer
from aiconexus.protocol.errors import BusUnavailable, LoginRefused, NoResponders, RequestTimedOut
from aiconexus.protocol.keys import SigningKey


async def test_a_stranger_is_refused(server: NatsServer) -> None:
    """A key that the server does not know gets no session, and the error says so and where."""
    stranger = SigningKey(os.urandom(32))

    with pytest.raises(LoginRefused) as caught:
        await Session.connect([server.url], stranger, name="x", inbox_prefix="_INBOX.x", forever=False)

    assert caught.value.urls == (server.url,)
    assert "authorization violation" in str(caught.value).lower()


async def test_nobody_there_is_an_error_unless_one_waits(key: SigningKey) -> None:
    """Without ``forever`` a missing server is reported within the connect time-out."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{unused.getsockname()[1]}"

        with pytest.raises(BusUnavailable) as caught:
            await Session.connect([url], key, name="x", inbox_prefix="_INBOX.x", forever=False)

    assert not isinstance(caught.value, LoginRefused)


async def test_a_session_waits_for_a_server_that_comes_later(server: NatsServer, key: SigningKey) -> None:
    """A service may start before its bus."""
    await server.stop()
    connecting = asyncio.create_task(Session.connect([server.url], key, name="x", inbox_prefix="_INBOX.x"))
    await server.start()
    async with asyncio.timeout(20):
        session = await connecting

    assert session.is_connected
    await session.close()


async def test_after_a_barrier_nothing_is_missed(session: Session, server: NatsServer, key: SigningKey) -> None:
    """What somebody else publishes after our barrier arrives, 200 subscriptions out of 200."""
    other = await Session.connect([server.url], key, name="other", inbox_prefix="_INBOX.o")
    arrived: set[str] = set()
    every = asyncio.Event()

    async def note(incoming: Incoming) -> None:
        arrived.add(incoming.subject)
        if len(arrived) == 200:
            every.set()

    for number in range(200):
        subscription = await session.subscribe(f"barrier.{number}", note)
        await session.barrier()
        await other.publish(f"barrier.{number}", b"")
        await other.barrier()
        await session.barrier()
        del subscription
    async with asyncio.timeout(5):
        await every.wait()
    await other.close()

    assert len(arrived) == 200


async def test_subscriptions_survive_the_server(session: Session, server: NatsServer) -> None:
    """After a SIGKILL of the server and its restart, messages arrive on the old subscription."""
    arrived = asyncio.Event()

    async def note(_: Incoming) -> None:
        arrived.set()

    await session.subscribe("still.here", note)
    await server.kill()
    await server.start()
    async with asyncio.timeout(20):
        while not arrived.is_set():
            try:
                await session.barrier(1)
            except BusUnavailable:
                continue
            await session.publish("still.here", b"")
            await session.barrier()

    assert arrived.is_set()


async def test_requests_say_why_they_failed(session: Session) -> None:
    """Nobody there and nobody answering are two errors."""

    async def silence(_: Incoming) -> None:
        return

    await session.subscribe("silent", silence)
    with pytest.raises(NoResponders):
        await session.request("nobody", b"")
    with pytest.raises(RequestTimedOut):
        await session.request("silent", b"", timeout_seconds=0.05)


async def test_a_handler_that_raises_is_reported_and_called_again(server: NatsServer, key: SigningKey) -> None:
    """An exception of a handler reaches ``on_error`` and does not end the subscription."""
    errors: list[Exception] = []
    session = await Session.connect(
        [server.url], key, name="x", inbox_prefix="_INBOX.x", on_error=errors.append, forever=False
    )
    calls = asyncio.Queue[bytes]()

    async def fail(incoming: Incoming) -> None:
        await calls.put(incoming.data)
        raise LookupError(incoming.subject)

    await session.subscribe("fails", fail)
    for data in (b"1", b"2"):
        await session.publish("fails", data)
    async with asyncio.timeout(5):
        seen = [await calls.get(), await calls.get()]
    await session.drain()

    assert seen == [b"1", b"2"]
    assert [type(error) for error in errors] == [LookupError, LookupError]


async def test_a_closed_session_says_so(session: Session) -> None:
    """Nothing is silently thrown away after the end."""
    await session.close()

    with pytest.raises(BusUnavailable):
        await session.publish("x", b"")
    with pytest.raises(BusUnavailable):
        await session.subscribe("x", lambda _: asyncio.sleep(0))
    assert session.is_closed


async def test_the_socket_does_not_wait_for_more(session: Session) -> None:
    """TCP_NODELAY is on: a small request is not held back."""
    connection: Any = session._client._transport
    raw = connection._io_writer.transport.get_extra_info("socket")

    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_the_socket_notices_a_dead_path(session: Session) -> None:
    """A path that swallows everything costs seconds, not the minutes of the system's own patience."""
    connection: Any = session._client._transport
    raw = connection._io_writer.transport.get_extra_info("socket")

    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENCE_SECONDS * 1000
    assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < SILENCE_SECONDS


async def test_a_barrier_is_honest_while_the_server_is_away(session: Session, server: NatsServer) -> None:
    """Without a server a barrier raises; with it again the next one passes and the session works."""
    await server.kill()
    with pytest.raises(BusUnavailable):
        await session.barrier(0.3)
    await server.start()
    await session.barrier(10)
    with pytest.raises(NoResponders):
        await session.request("nobody", b"")


async def test_a_barrier_given_up_does_not_hurt(session: Session, server: NatsServer) -> None:
    """A stopped server that answers late finds a session that still reads."""
    os.kill(server.pid, signal.SIGSTOP)
    os.waitpid(server.pid, os.WUNTRACED)
    with pytest.raises(BusUnavailable):
        await session.barrier(0.2)
    os.kill(server.pid, signal.SIGCONT)
    await session.barrier()
    with pytest.raises(NoResponders):
        await session.request("nobody", b"")
