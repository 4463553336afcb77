"""A TURN server of our own beside the platform: logins, denied peers, and what happens when it dies."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aioice import stun, turn
from tests.containers.composed import Composed
from tests.containers.test_hardening import STATUS, UNPRIVILEGED
from tests.turn.allocations import Allocation

from aiconexus.protocol.signal_bodies import IceServer, IceServers, ListServers
from aiconexus.sdk import Agent, Identity

pytestmark = pytest.mark.containers

SECONDS = 20.0
POLL_SECONDS = 0.5
GONE_SECONDS = 40.0
NETWORKS = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]


@pytest.fixture(scope="module")
def turned(swept: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """The running set with a TURN server, which everybody reaches by an address of this machine."""
    addresses = json.loads(subprocess.run(NETWORKS, capture_output=True, check=True).stdout)
    folder = tmp_path_factory.mktemp("turned")
    composed = Composed(folder / "home", "turn", turn=addresses[0]["Gateway"])
    try:
        composed.start()
        yield composed
    finally:
        (folder / "log").write_text(composed.logs())
        composed.down()


@pytest.fixture
async def agent(turned: Composed) -> AsyncIterator[Agent]:
    """Somebody who may ask for servers."""
    async with Agent(Identity.generate(), turned.endpoints.nats, connect_timeout=SECONDS) as agent:
        yield agent


async def listed(agent: Agent) -> list[IceServer]:
    """The TURN servers that signaling names."""
    body = await agent._open.link.services.ask("signaling", ListServers(relay_only=True), IceServers)
    return list(body.servers)


async def until(agent: Agent, count: int, seconds: float) -> list[IceServer]:
    """Ask until so many are named."""
    async with asyncio.timeout(seconds):
        while len(servers := await listed(agent)) != count:
            await asyncio.sleep(POLL_SECONDS)
    return servers


@asynccontextmanager
async def allocated(
    server: IceServer, credential: str | None = None
) -> AsyncIterator[tuple[turn.TurnTransport, Allocation]]:
    """An allocation with the login that came with a server."""
    place, _, query = server.urls[0].removeprefix("turn:").partition("?transport=")
    host, _, port = place.partition(":")
    async with asyncio.timeout(SECONDS):
        transport, protocol = await turn.create_turn_endpoint(
            Allocation, (host, int(port)), server.username, credential or server.credential, transport=query
        )
    try:
        yield transport, protocol
    finally:
        transport.close()
        async with asyncio.timeout(SECONDS):
            await protocol.closed.wait()


async def permitted(transport: turn.TurnTransport, peer: tuple[str, int]) -> int | None:
    """Ask for a way to a peer; the code of the refusal, None if there is a way."""
    inner = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
    try:
        async with asyncio.timeout(SECONDS):
            await inner.send_data(b"hello", peer)
    except stun.TransactionFailed as error:
        code: int | None = error.response.error_code
        return code
    return None


async def test_issued_logins_allocate(turned: Composed, agent: Agent) -> None:
    """Over UDP and TCP an agent relays from the ports that are published, with a login that it got a moment ago."""
    ports = {mapping["published"] for mapping in turned.services()["turn"]["ports"]}
    servers = await until(agent, 2, SECONDS)
    found = []
    for server in servers:
        async with allocated(server) as (transport, _):
            found.append(str(transport.get_extra_info("sockname")[1]))

    assert {"udp", "tcp"} == {server.urls[0].partition("?transport=")[2] for server in servers}
    assert set() == set(found) - ports
    assert [True, True] == [(server.latency_ms or 0) > 0 for server in servers]


async def test_a_login_of_somebody_else_is_refused(agent: Agent) -> None:
    """What signaling did not sign allocates nothing."""
    server = (await until(agent, 2, SECONDS))[0]
    with pytest.raises(stun.TransactionFailed) as refused:
        async with allocated(server, credential="c2VjcmV0"):
            pass

    assert 401 == refused.value.response.error_code


async def test_two_agents_meet_at_the_server(agent: Agent) -> None:
    """Relay to relay: the server's own address is the one private address that it carries to."""
    server = (await until(agent, 2, SECONDS))[0]
    async with allocated(server) as (here, near), allocated(server) as (there, far):
        ways = [await permitted(one, other.get_extra_info("sockname")) for one, other in ((here, there), (there, here))]
        here.sendto(b"ping", there.get_extra_info("sockname"))
        there.sendto(b"pong", here.get_extra_info("sockname"))
        async with asyncio.timeout(SECONDS):
            heard = [[await side.inbox.get() for _ in range(1)] for side in (far, near)]

    assert [None, None] == ways
    assert {b"ping", b"pong", b"hello"} >= {word for words in heard for word in words}


@pytest.mark.parametrize("network", ["bus", "outside"])
async def test_nobody_gets_into_the_networks_behind_it(turned: Composed, agent: Agent, network: str) -> None:
    """Neither the containers beside it nor the usual targets are carried to."""
    networks = turned.containers("nats")[0]["NetworkSettings"]["Networks"]
    beside = next(found["IPAddress"] for name, found in networks.items() if name.endswith(f"_{network}"))
    server = (await until(agent, 2, SECONDS))[0]
    async with allocated(server) as (transport, _):
        peers = [(beside, 4222), ("169.254.169.254", 80), ("127.0.0.1", 3478), ("10.0.0.1", 80), ("192.168.0.1", 80)]
        codes = [await permitted(transport, peer) for peer in peers]

    assert [403] * 5 == codes


def test_it_has_no_privileges(turned: Composed) -> None:
    """It runs like all the others: without root, capabilities, or a root that can be written."""
    container = turned.containers("turn")[0]
    lines = {tuple(line.split()) for line in turned.shell("turn", STATUS).splitlines()}
    wanted = {"Uid": (turned.user("turn"),) * 4, **UNPRIVILEGED}
    found = {name: {words[1:] for words in lines if words[:1] == (f"{name}:",)} for name in wanted}
    secret = turned.shell("turn", "cat /run/secrets/turn.secret").strip()

    assert {name: {words} for name, words in wanted.items()} == found
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert "unless-stopped" == container["HostConfig"]["RestartPolicy"]["Name"]
    assert secret not in str(container)
    assert secret not in turned.shell("turn", "cat /proc/[0-9]*/cmdline")
    assert secret not in turned.logs()


async def test_a_server_that_dies_is_taken_off_the_list(turned: Composed, agent: Agent) -> None:
    """Agents are not sent to it any more after half a minute, and are again when it is back."""
    await until(agent, 2, SECONDS)
    await asyncio.to_thread(turned.run, "stop", "turn")
    none = await until(agent, 0, GONE_SECONDS)
    health = turned.containers("signaling")[0]["State"]["Health"]["Status"]
    await asyncio.to_thread(turned.run, "start", "turn")
    again = await until(agent, 2, 2 * GONE_SECONDS)
    async with allocated(again[0]) as (transport, _):
        address = transport.get_extra_info("sockname")

    assert ([], "healthy") == (none, health)
    assert address


async def test_signals_go_through_any_replica(turned: Composed, agent: Agent) -> None:
    """With two replicas agents reach each other, and still do when one of them is killed."""
    await asyncio.to_thread(turned.up, signaling=2)
    async with Agent(Identity.generate(), turned.endpoints.ws, connect_timeout=SECONDS) as other:
        before = [await agent.ping(other.did) for _ in range(10)]
        life = await asyncio.to_thread(turned.kill, "signaling", 2)
        await turned.until_restarted("signaling", life, 2)
        after = [await agent.ping(other.did) for _ in range(10)]

    assert [True] * 20 == [seconds < SECONDS for seconds in before + after]
