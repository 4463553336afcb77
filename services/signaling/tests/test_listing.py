import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aioice import stun

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.errors import SettingsError
from aiconexus.protocol.seal import Codec
from aiconexus.protocol.signal_bodies import IceServers, ListServers
from aiconexus.runtime.health import Status

from .world import Agent, World

QUICK: dict[str, Any] = {
    "probe_seconds": 0.05,
    "probe_deadline_seconds": 0.5,
    "probe_again_seconds": 0.01,
    "breaker_seconds": 0.05,
    "breaker_max_seconds": 0.1,
}


class StunServer(asyncio.DatagramProtocol):
    """Tells everybody their address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = stun.parse_message(data)
        answer = stun.Message(asked.message_method, stun.Class.RESPONSE, asked.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = addr
        self.transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def stun_server(port: int = 0) -> AsyncIterator[int]:
    """One for the length of a block; its port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", port))
    taken: int = transport.get_extra_info("sockname")[1]
    try:
        yield taken
    finally:
        transport.close()


async def ask(agent: Agent, world: World, codec: Codec = Codec.MSGPACK, *, relay_only: bool = False) -> IceServers:
    """LIST_SERVERS."""
    question = agent.sealed(ListServers(relay_only=relay_only), world.did, codec=codec)
    body = (await agent.request("list_servers", question)).body
    assert isinstance(body, IceServers), body
    return body


async def until(agent: Agent, world: World, count: int) -> IceServers:
    """Ask until so many are named."""
    async with asyncio.timeout(10):
        while len((body := await ask(agent, world)).servers) != count:
            await asyncio.sleep(0.02)
    return body


@pytest.mark.parametrize("codec", list(Codec))
async def test_no_server_is_said_to_be_none(world: World, ann: Agent, codec: Codec) -> None:
    """Where no server is configured, agents hear that there is none."""
    async with world.signaling() as context:
        body = await ask(ann, world, codec)
        report = await context.health.report()

    assert () == body.servers
    assert Status.HEALTHY is report.components["turn"].status


async def test_a_server_is_named_while_it_works(world: World, ann: Agent) -> None:
    """The first question finds it, its end is noticed, and so is its return; the health follows."""
    async with stun_server() as port:
        url = f"stun:127.0.0.1:{port}"
        replica = world.signaling(stun_urls=(url,), question_burst=1_000, **QUICK)
        context = await replica.__aenter__()
        first = await ask(ann, world)
    none = await until(ann, world, 0)
    ill = (await context.health.report()).components["turn"]
    async with stun_server(port):
        again = await until(ann, world, 1)
    await replica.__aexit__(None, None, None)

    assert [(url,)] == [server.urls for server in first.servers] == [server.urls for server in again.servers]
    assert (first.servers[0].username, first.servers[0].credential) == (None, None)
    assert 0 < (first.servers[0].latency_ms or 0) < 500
    assert () == none.servers
    assert Status.DEGRADED is ill.status


async def test_silent_servers_do_not_hold_up_the_answer(world: World, ann: Agent) -> None:
    """A TURN server that never answers is not named, and the list comes at once all the same."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"turn:127.0.0.1:{silent.getsockname()[1]}"
        async with world.signaling(turn_urls=(url,), turn_secret="secret", **QUICK):
            began = time.monotonic()
            body = await ask(ann, world, relay_only=True)

    assert () == body.servers
    assert time.monotonic() - began < 1


async def test_a_server_may_be_reached_elsewhere_from_here(world: World, ann: Agent) -> None:
    """Agents are told its own name, though it is probed at another one."""
    async with stun_server() as port:
        url = f"stun:turn.invalid:{port}"
        async with world.signaling(stun_urls=(url,), probe_hosts=("turn.invalid=127.0.0.1",), **QUICK):
            body = await ask(ann, world)

    assert [(url,)] == [server.urls for server in body.servers]


async def test_relay_only_names_no_stun_server(world: World, ann: Agent) -> None:
    """Who wants to hide its addresses is not sent to where they are told."""
    async with stun_server() as port, world.signaling(stun_urls=(f"stun:127.0.0.1:{port}",), **QUICK):
        body = await ask(ann, world, relay_only=True)

    assert () == body.servers


async def test_questions_are_limited(world: World, ann: Agent, bob: Agent) -> None:
    """Who asks too often is told when to come again, and others are served."""
    async with world.signaling(question_burst=2):
        for _ in range(2):
            await ask(ann, world)
        refusals = [(await ann.request("list_servers", ann.sealed(ListServers(), world.did))).body for _ in range(4)]
        other = await ask(bob, world)

    assert ["rate_limited"] * 4 == [body.problem for body in refusals if isinstance(body, Error)]
    assert () == other.servers


async def test_only_agents_that_are_known_may_ask(world: World) -> None:
    """Who never registered gets no login, nor does a revoked key."""
    revoked = await world.agent(revoked_ms=1)
    stranger = world.stranger()
    async with world.signaling():
        answers = [
            (await agent.request("list_servers", agent.sealed(ListServers(), world.did))).body
            for agent in (revoked, stranger)
        ]

    assert ["key_revoked", "unknown_agent"] == [body.problem for body in answers if isinstance(body, Error)]


async def test_certificates_that_are_not_there_stop_the_start(world: World) -> None:
    """A mistake of the operator is told as one."""
    with pytest.raises(SettingsError, match="TURN_AUTHORITIES_FILE"):
        async with world.signaling(turn_authorities_file="/nowhere.pem"):
            pass
