"""Which STUN and TURN servers are used, with real sockets that answer or do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aioice import stun

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.errors import BusUnavailable
from aiconexus.protocol.signal_bodies import IceServer, IceServers
from aiconexus.sdk.direct.probing import PROBE_SECONDS, answers
from aiconexus.sdk.direct.servers import Servers

LOCAL = "127.0.0.1"


def answer_to(data: bytes) -> bytes:
    """What a server says to a Binding request."""
    request = stun.parse_message(data)
    return bytes(
        stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
    )


class Udp(asyncio.DatagramProtocol):
    """A STUN server, or one that is late, or says nothing, or nonsense."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.heard = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard += 1
        if self.mode == "answers" or (self.mode == "second" and self.heard > 1):
            self.transport.sendto(answer_to(data), addr)
        elif self.mode == "late":
            asyncio.get_running_loop().call_later(PROBE_SECONDS + 0.2, self.transport.sendto, answer_to(data), addr)
        elif self.mode == "nonsense":
            self.transport.sendto(b"nonsense", addr)


@asynccontextmanager
async def udp(mode: str) -> AsyncIterator[tuple[int, Udp]]:
    """One on a free port."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Udp(mode), local_addr=(LOCAL, 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1], protocol
    finally:
        transport.close()


@asynccontextmanager
async def tcp(*, mode: str = "answers", writers: list[asyncio.StreamWriter] | None = None) -> AsyncIterator[int]:
    """The same over TCP; who has come is written down."""
    writers = [] if writers is None else writers

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        data = await reader.readexactly(20)
        if mode == "answers":
            writer.write(answer_to(data))
        await reader.read()

    server = await asyncio.start_server(serve, LOCAL, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def servers(*urls: str) -> Servers:
    """Those of an application."""

    async def nobody() -> IceServers:
        raise AssertionError

    return Servers((IceServer(urls=urls, username="u", credential="c"),), nobody)


async def urls_of(answer: tuple[IceServer, ...]) -> list[str]:
    """The URLs that were chosen."""
    return [url for server in answer for url in server.urls]


async def test_server_that_answers_is_used() -> None:
    """STUN and TURN have the same first word."""
    async with udp("answers") as (port, _):
        chosen = servers(f"stun:{LOCAL}:{port}", f"turn:{LOCAL}:{port}?transport=udp")

        assert [f"stun:{LOCAL}:{port}"] == await urls_of(await chosen.stun())
        assert [f"turn:{LOCAL}:{port}?transport=udp"] == await urls_of(await chosen.turn())


@pytest.mark.parametrize("mode", ["silent", "nonsense"])
async def test_server_that_does_not_answer_is_not_used(mode: str) -> None:
    """The stack would wait five seconds for it; we do not wait longer than our limit, and remember."""
    async with udp(mode) as (port, protocol):
        chosen = servers(f"stun:{LOCAL}:{port}")
        began = asyncio.get_running_loop().time()
        assert () == await chosen.stun()
        took = asyncio.get_running_loop().time() - began
        heard = protocol.heard
        assert () == await chosen.stun()

        assert took < PROBE_SECONDS + 0.5
        assert 4 == heard == protocol.heard
        assert "no TURN server is known" == await chosen.why_no_turn()


async def test_lost_request_is_repeated() -> None:
    """One lost datagram does not cost the server."""
    async with udp("second") as (port, _):
        assert await answers("stun", LOCAL, port, "udp")


async def test_best_transport_that_works_is_used() -> None:
    """UDP before TCP, whatever their order in the list."""
    async with udp("answers") as (fast, _), tcp() as slow:
        chosen = servers(f"turn:{LOCAL}:{slow}?transport=tcp", f"turn:{LOCAL}:{fast}?transport=udp")

        assert [f"turn:{LOCAL}:{fast}?transport=udp"] == await urls_of(await chosen.turn())


async def test_tcp_is_used_where_udp_is_blocked_and_nobody_waits_for_udp() -> None:
    """A transport that works does not wait for the limit of one that does not."""
    async with udp("silent") as (blocked, _), tcp() as port:
        chosen = servers(f"turn:{LOCAL}:{blocked}?transport=udp", f"turn:{LOCAL}:{port}?transport=tcp")
        began = asyncio.get_running_loop().time()
        found = await urls_of(await chosen.turn())

        assert [f"turn:{LOCAL}:{port}?transport=tcp"] == found
        assert asyncio.get_running_loop().time() - began < 1.0


async def test_next_transport_is_left_alone_where_the_best_one_works() -> None:
    """A server does not hear the same question over three transports from everybody."""
    writers: list[asyncio.StreamWriter] = []
    async with udp("answers") as (fast, _), tcp(writers=writers) as slow:
        chosen = servers(f"turn:{LOCAL}:{fast}?transport=udp", f"turn:{LOCAL}:{slow}?transport=tcp")
        await chosen.turn()

        assert [] == writers


async def test_turn_server_that_is_slow_is_found() -> None:
    """Without it there may be no way at all, so it gets more time than one that only tells an address."""
    async with udp("late") as (port, _):
        chosen = servers(f"stun:{LOCAL}:{port}", f"turn:{LOCAL}:{port}?transport=udp")

        assert () == await chosen.stun()
        assert [f"turn:{LOCAL}:{port}?transport=udp"] == await urls_of(await chosen.turn())


async def test_server_is_asked_once_for_all_who_want_to_know() -> None:
    """Whoever comes while a server is asked waits for the same answer."""
    async with udp("answers") as (port, protocol):
        chosen = servers(f"turn:{LOCAL}:{port}?transport=udp")
        await asyncio.gather(*(chosen.turn() for _ in range(5)))

        assert 1 == protocol.heard


async def test_closed_ports_and_bad_names_are_no_servers() -> None:
    """Refused at once, or unknown: not used."""
    chosen = servers(f"turn:{LOCAL}:9?transport=tcp", f"turns:{LOCAL}:9", "turn:nowhere.invalid?transport=udp")

    assert () == await chosen.turn()
    assert "no TURN server answers" == await chosen.why_no_turn()


async def test_silent_stream_is_no_server() -> None:
    """A port that is open and says nothing is given up."""
    async with tcp(mode="silent") as port:
        assert not await answers("turn", LOCAL, port, "tcp")


async def test_platform_is_asked_until_its_answer_expires() -> None:
    """The list is kept as long as its credentials hold."""
    asked = []

    async def platform() -> IceServers:
        asked.append(1)
        return IceServers(servers=(IceServer(urls=(f"stun:{LOCAL}:9",)),), expires_ms=now_ms() + 600_000)

    chosen = Servers(None, platform)
    await asyncio.gather(chosen.stun(), chosen.turn(), chosen.stun())

    assert [1] == asked


async def test_servers_that_are_not_named_any_more_are_forgotten() -> None:
    """A platform that names others with every list does not fill our memory."""
    named: list[str] = []

    async def platform() -> IceServers:
        named.append(f"turn:{LOCAL}:{9 + len(named)}?transport=tcp")
        return IceServers(servers=(IceServer(urls=(named[-1],), username="u", credential="c"),), expires_ms=now_ms())

    chosen = Servers(None, platform, again_seconds=0)
    await chosen.turn()
    await chosen.turn()

    assert 2 == len(named)
    assert {named[-1]} == chosen._verdicts.keys() == chosen._probing.keys()


async def test_platform_without_servers_is_left_alone() -> None:
    """No answer is no reason to ask again at once, and no reason to fail: two agents in one network need no server."""
    asked = []

    async def platform() -> IceServers:
        asked.append(1)
        raise BusUnavailable(("signaling",), "it is away")

    chosen = Servers(None, platform)

    assert () == await chosen.stun()
    assert () == await chosen.turn()
    assert [1] == asked
    assert "no TURN server was named" in (why := await chosen.why_no_turn())
    assert "it is away" in why
