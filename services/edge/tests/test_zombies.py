"""Connections that are dead, stuck, too fast or too many: each of them ends, with the code that says why."""

import asyncio
import signal
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import aiohttp
import pytest

from aiconexus.bus.testing import new_key
from aiconexus.edge.testing import BINARY, TEXT
from aiconexus.protocol.bodies import Error, Fetch, Mail, Message, Ping, Pong, Presence, Watch
from aiconexus.protocol.closing import Close
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES

from .world import Agents, Edge, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUICK: dict[str, Any] = {"heartbeat_seconds": 0.2, "pong_seconds": 0.2}

AGENT_PROCESS = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from world import Agents, Edge
async def main():
    async with Agents() as agents:
        await agents.agent(Edge(port=int(sys.argv[2]), instance="", health=None))
        print("registered", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_agent_that_answers_pings_stays(world: World, agents: Agents) -> None:
    """Silence alone ends nothing: a WebSocket library answers pings by itself."""
    async with world.edge(**QUICK) as edge:
        agent = await agents.agent(edge)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await agent.socket.receive()

        assert Pong(sequence=1) == await agent.ask(Ping(sequence=1), agent.services["edge"])


async def test_strangers_do_not_fill_the_log(world: World, agents: Agents) -> None:
    """Of connections that never got in a few a second are written down, and the others are counted; agents' all are."""
    async with world.edge() as edge:
        began = monotonic()
        for _ in range(60):
            stranger = await agents.stranger(edge)
            await stranger.socket.close()
        agent = await agents.agent(edge)
        await agent.socket.close()
        await edge.lets_go()
        seconds = monotonic() - began
    lines = edge.lines.of("edge.connection_closed")

    assert [agent.did] == [line["did"] for line in lines if line["did"]]
    assert 1 < len(lines) <= 1 + 5 * (seconds + 2)


async def test_silent_agent_is_closed(world: World, agents: Agents) -> None:
    """Whoever does not even answer pings is closed as silent."""
    async with world.edge(**QUICK) as edge:
        agent = await agents.stranger(edge, autoping=False)
        await agent.register()
        async with asyncio.timeout(5):
            while (message := await agent.socket.receive()).type is aiohttp.WSMsgType.PING:
                pass

        assert (aiohttp.WSMsgType.CLOSE, Close.SILENT) == (message.type, message.data)
        await edge.lets_go()


async def test_silent_agent_is_closed_without_pings(world: World, agents: Agents) -> None:
    """Where heartbeats are switched off, the agent time-out counts."""
    async with world.edge(heartbeat_seconds=0, agent_timeout_seconds=0.3, cleanup_seconds=0.1) as edge:
        agent = await agents.agent(edge)

        assert Close.SILENT == (await agent.ending())[0]


async def test_stopped_process_is_cut_off(world: World, agents: Agents) -> None:
    """A half-open connection, whose kernel still acknowledges, leaves no socket behind and no presence."""
    async with world.edge(**QUICK) as edge, world.edge() as other:
        watcher = await agents.agent(other)
        await watcher.ask(Watch(), watcher.services["edge"])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", AGENT_PROCESS, str(__file__).rsplit("/", 1)[0], str(edge.port), stdout=-1
        )
        assert process.stdout is not None
        try:
            assert b"registered\n" == await process.stdout.readline()
            process.send_signal(signal.SIGSTOP)
            news = [(await watcher.until("PRESENCE")).body for _ in range(2)]
            await edge.lets_go()
        finally:
            process.kill()
            await process.wait()

        assert [True, False] == [each.online for each in news if isinstance(each, Presence)]


async def test_reset_connection_ends_the_presence(world: World, edge: Edge, agents: Agents) -> None:
    """A connection that breaks without a word is noticed at once."""
    watcher, agent = await agents.agent(edge), await agents.agent(edge)
    await watcher.ask(Watch(dids=(agent.did,)), watcher.services["edge"])
    raw: socket.socket = agent.socket.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport: asyncio.Transport = agent.socket._response.connection.transport  # type: ignore[union-attr, assignment]
    transport.abort()
    news = await watcher.gone()

    assert agent.did == news.did


async def test_connection_that_never_registers_is_closed(world: World, agents: Agents) -> None:
    """There is a time for REGISTER, and then it is over."""
    async with world.edge(connection_timeout_seconds=0.3) as edge:
        agent = await agents.stranger(edge)

        assert Close.NOT_REGISTERED == (await agent.ending())[0]
        await edge.lets_go()


@pytest.mark.parametrize("words", [b"", b"GET /ws HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a request"])
async def test_connection_without_a_request_is_closed(world: World, words: bytes) -> None:
    """A socket that never becomes a WebSocket is dropped after the same time."""
    async with world.edge(connection_timeout_seconds=0.3) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(words)
        async with asyncio.timeout(5):
            assert b"" == await reader.read(1)
        writer.close()
        await edge.lets_go()


async def test_slow_reader_is_closed_and_loses_nothing(world: World, agents: Agents) -> None:
    """Who does not read is closed with a code of its own, and finds all of its mail in the mailbox afterwards."""
    async with world.edge(outgoing_max_bytes=2**21, close_seconds=2.0) as edge:
        lazy, busy = await agents.agent(edge), await agents.agent(edge)
        raw: asyncio.Transport = lazy.socket._response.connection.transport  # type: ignore[union-attr, assignment]
        raw.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        raw.pause_reading()
        sent = [f"mail-{number}" for number in range(200)]
        for id_ in sent:
            await busy.ask(Message(content="x" * 60_000), lazy.did, id_=id_)
        raw.resume_reading()
        code, _ = await lazy.ending()
        again = await agents.agent(edge, key=lazy.key)
        kept: list[int] = []
        while len(kept) < len(sent):
            page = await again.ask(Fetch(after=kept[-1] if kept else 0), again.services["relay"])
            assert isinstance(page, Mail)
            kept += [item.sequence for item in page.items]

        assert Close.SLOW_READER == code
        assert sorted(set(kept)) == kept


async def test_socket_that_is_never_read_is_cut_off(world: World, agents: Agents) -> None:
    """Bytes that nobody takes do not keep a connection alive."""
    async with world.edge(outgoing_max_bytes=2**21) as edge:
        lazy, busy = await agents.agent(edge), await agents.agent(edge)
        raw: asyncio.Transport = lazy.socket._response.connection.transport  # type: ignore[union-attr, assignment]
        raw.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        raw.pause_reading()
        for _ in range(150):
            await busy.ask(Message(content="x" * 60_000), lazy.did)
        async with asyncio.timeout(5):
            while edge.sockets() > 1:
                await asyncio.sleep(0.02)
        raw.resume_reading()


async def test_fast_sender_is_slowed_down_then_closed(world: World, agents: Agents) -> None:
    """Beyond the budget frames are refused with a time to wait; who goes on is closed."""
    async with world.edge(frames_per_second=1.0, frames_burst=5, strikes_max=3) as edge:
        agent = await agents.agent(edge)
        for number in range(9):
            await agent.say(Ping(sequence=number), agent.services["edge"])
        answers = [(await agent.next()).body for _ in range(9)]

        assert [Pong(sequence=number) for number in range(5)] == answers[:5]
        assert ["rate_limited"] * 4 == [each.problem for each in answers[5:] if isinstance(each, Error)]
        assert all(0 < (each.retry_after_ms or 0) <= 1001 for each in answers[5:] if isinstance(each, Error))
        assert Close.TOO_FAST == (await agent.ending())[0]


async def test_frames_that_are_dear_to_read_stop_nobody_else(world: World, agents: Agents) -> None:
    """While one agent sends what takes long to read, others are served all the time."""
    async with world.edge(frames_per_second=1e6, frames_burst=1_000_000) as edge:
        heavy, other = await agents.agent(edge, protocol=TEXT), await agents.agent(edge)
        for _ in range(10):
            await heavy.say(Message(content=[1e300 + number * 1e290 for number in range(2000)]), new_key().did)
        await heavy.say(Ping(sequence=1), heavy.services["edge"])
        done = asyncio.create_task(heavy.until("PONG"))
        served = 0
        while not done.done():
            assert Pong(sequence=2) == await other.ask(Ping(sequence=2), other.services["edge"])
            served += 1

        assert Pong(sequence=1) == (await done).body
        assert served > 10 * 5


async def test_connecting_again_does_not_refill_the_budget(world: World, agents: Agents) -> None:
    """The budget is the agent's, not the connection's."""
    async with world.edge(frames_per_second=0.01, frames_burst=2) as edge:
        agent = await agents.agent(edge)
        for number in range(2):
            await agent.ask(Ping(sequence=number), agent.services["edge"])
        again = await agents.agent(edge, key=agent.key)
        answer = await again.ask(Ping(sequence=3), again.services["edge"])

        assert isinstance(answer, Error)
        assert "rate_limited" == answer.problem


@pytest.mark.parametrize("control", [aiohttp.ClientWebSocketResponse.ping, aiohttp.ClientWebSocketResponse.pong])
async def test_control_frames_count_as_frames(
    world: World, agents: Agents, control: Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]]
) -> None:
    """A ping is not free, nor is a pong that answers nothing."""
    async with world.edge(frames_per_second=0.01, frames_burst=5) as edge:
        agent = await agents.agent(edge)
        for _ in range(10):
            await control(agent.socket)

        assert Close.TOO_FAST == (await agent.ending())[0]


async def test_bad_frames_are_answered_then_closed(world: World, agents: Agents) -> None:
    """A mistake is answered; too many in a row end the connection."""
    async with world.edge(strikes_max=3) as edge:
        agent = await agents.agent(edge)
        for _ in range(4):
            await agent.socket.send_bytes(b"\xc1")
        answers = [(await agent.next()).body for _ in range(4)]

        assert ["malformed"] * 4 == [each.problem for each in answers if isinstance(each, Error)]
        assert Close.MALFORMED == (await agent.ending())[0]


@pytest.mark.parametrize("protocol", [BINARY, TEXT])
async def test_large_frames_are_refused(edge: Edge, agents: Agents, protocol: str) -> None:
    """Beyond the protocol's limit an ERROR, beyond the frame limit the close code for it."""
    agent = await agents.agent(edge, protocol)
    data = agent.sealed(Message(content="x" * ENVELOPE_MAX_BYTES), agent.did, limit=2**20)
    answer = (await agent.exchange(data)).body
    await agent.send(agent.sealed(Message(content="x" * 200_000), agent.did, limit=2**20))

    assert isinstance(answer, Error)
    assert ("too_large", Close.TOO_LARGE) == (answer.problem, (await agent.ending())[0])


async def test_full_edge_refuses_over_http(world: World, agents: Agents) -> None:
    """When all places are taken the answer comes before the upgrade, with the time to try again."""
    async with world.edge(max_connections=2) as edge:
        first = await agents.agent(edge)
        await agents.stranger(edge)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await agents.stranger(edge)
        await first.socket.close()
        async with asyncio.timeout(5):
            while edge.sockets() > 1:
                await asyncio.sleep(0.02)

        assert 503 == refused.value.status
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) > 0
        assert (await agents.agent(edge)).did


async def test_address_that_connects_too_often_is_refused(world: World, agents: Agents) -> None:
    """Handshakes of one address can be limited."""
    async with world.edge(handshakes_per_second=0.01, handshakes_burst=2) as edge:
        await agents.stranger(edge)
        await agents.stranger(edge)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await agents.stranger(edge)

        assert 429 == refused.value.status


async def test_leaving_edge_says_so(world: World, agents: Agents) -> None:
    """Whoever is connected when an edge stops is told to connect again, and is offline at once."""
    async with world.edge() as other:
        watcher = await agents.agent(other)
        async with world.edge() as edge:
            leaver = await agents.agent(edge)
            await watcher.ask(Watch(dids=(leaver.did,)), watcher.services["edge"])
            ending = asyncio.create_task(leaver.ending())
        news = await watcher.gone()

        assert Close.GOING_AWAY == (await ending)[0]
        assert leaver.did == news.did
