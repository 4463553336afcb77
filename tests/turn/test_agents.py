"""Agents that speak to each other through a real TURN server, and what becomes of their mail when it dies."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.sdk_agents import SECONDS, Host, host_of
from tests.turn.correspondence import Correspondence
from tests.turn.coturn import SECRET, Coturn
from tests.turn.tap import kinds_in, overheard

from aiconexus.cli.platform import Platform
from aiconexus.protocol.direct_errors import ConnectionFailed
from aiconexus.protocol.signal_bodies import Answer, IceServer, Offer
from aiconexus.sdk import Agent
from aiconexus.sdk.direct.settings import Direct

pytestmark = pytest.mark.asyncio(loop_scope="module")

RELAY_SECONDS = 3.2
"""Three seconds, and what a busy machine adds."""
P95_SECONDS = 0.150
TRANSPORTS = ["udp", "tcp", "tls"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(coturn: Coturn, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform whose signaling knows the TURN server."""
    home = tmp_path_factory.mktemp("platform")
    secret = home / "turn-secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    settings = {
        "AICONEXUS_SIGNALING_TURN_URLS": coturn.url("udp"),
        "AICONEXUS_SIGNALING_TURN_SECRET_FILE": str(secret),
    }
    async with Platform(home / "home", services=("identity", "relay", "signaling"), settings=settings) as platform:
        yield platform


@pytest_asyncio.fixture(loop_scope="module")
async def host(platform: Platform, tmp_path: Path, coturn: Coturn) -> AsyncIterator[Host]:
    """Makes agents, which trust the TURN server's certificate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(coturn.authority))
        async with host_of(platform, tmp_path) as host:
            yield host


async def hidden(host: Host, *servers: IceServer, **options: Any) -> Agent:
    """An agent that uses what is relayed and nothing else, through these servers or those that signaling names."""
    direct = Direct(policy="relay", ice_servers=servers or None, **options)
    return await host.open(host.make(direct=direct))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_agents_connect_through_turn(host: Host, coturn: Coturn, transport: str) -> None:
    """By UDP, TCP or TLS, the road is called by its name at both ends and carries mail both ways."""
    alice, bob = [await hidden(host, coturn.server(transport, user)) for user in ("alice", "bob")]
    peer = await alice.connect_to(bob.did)
    async with Correspondence(alice, bob) as mail:
        await mail.settle()

    assert "turn" == peer.road == bob.peers[alice.did].road
    assert mail.is_whole
    assert "turn" in mail.sides[0].roads & mail.sides[1].roads


async def test_signaling_issues_what_turn_believes(host: Host) -> None:
    """Agents that know no server get one, with a login that works."""
    alice, bob = await hidden(host), await hidden(host)

    assert "turn" == (await alice.connect_to(bob.did)).road


@pytest.mark.parametrize("bad", [{"seconds": -5}, {"secret": "of somebody else"}], ids=["expired", "wrong"])
async def test_bad_credentials_end_the_attempt_at_once(host: Host, coturn: Coturn, bad: dict[str, Any]) -> None:
    """Without an allocation there is no candidate, and the attempt fails by name before anything is offered."""
    alice, bob = await hidden(host, coturn.server("udp", "alice", **bad)), await hidden(host)
    started = time.monotonic()
    with pytest.raises(ConnectionFailed) as failed:
        await alice.connect_to(bob.did)

    assert "gathering" == failed.value.phase
    assert time.monotonic() - started < SECONDS
    assert {} == {did: peer for did, peer in bob.peers.items() if peer.road != "relay"}


async def test_quota_of_one_agent_is_no_bar_to_others(host: Host, tmp_path: Path) -> None:
    """An agent that used up its allocations fails by name; mail still reaches its peer, and others connect."""
    async with Coturn(tmp_path / "coturn", options=["user-quota=1"]) as small:
        alice = await hidden(host, small.server("udp", "alice"))
        first, second = [await hidden(host, small.server("udp", user)) for user in ("bob", "carol")]
        await alice.connect_to(first.did)
        with pytest.raises(ConnectionFailed) as failed:
            await alice.connect_to(second.did)
        sent = await alice.send(second.did, "by mail, then")
        dave = await hidden(host, small.server("udp", "dave"))
        road = (await dave.connect_to(second.did)).road

        assert "gathering" == failed.value.phase
        assert ("relay", "turn") == (sent.road, road)


async def test_hidden_agents_tell_nobody_where_they_are(platform: Platform, host: Host) -> None:
    """Of all that passes through the platform while they connect, no candidate is any but a relayed one."""
    async with overheard(platform) as signals:
        alice, bob = await hidden(host), await hidden(host)
        await alice.connect_to(bob.did)
        kinds = {kind for signal in signals for kind in kinds_in(signal)}

        assert {Offer, Answer} <= {type(signal) for signal in signals}
        assert {"relay"} == kinds


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_mail_goes_on_when_turn_is_killed(host: Host, tmp_path: Path, transport: str) -> None:
    """Back on the relay in three seconds, then through TURN again; nothing is lost, doubled or out of order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(tmp_path / "coturn" / "turn.crt"))
        async with Coturn(tmp_path / "coturn") as server:
            alice, bob = [await hidden(host, server.server(transport, user)) for user in ("alice", "bob")]
            peer = await alice.connect_to(bob.did)
            back = road_again(peer, "turn")
            async with Correspondence(alice, bob) as mail:
                await mail.go_on(20)
                await server.kill()
                killed = time.monotonic()
                await mail.go_on(100)
                silence = mail.silence_after(killed)
                roads = mail.sides[0].roads
                await server.start()
                async with asyncio.timeout(60):
                    await back.wait()
                await mail.go_on(20)
                await mail.settle()

    print(f"TURN by {transport} killed: {silence:.2f} s until mail came by the relay")  # noqa: T201
    assert {"turn", "relay"} <= roads
    assert silence <= RELAY_SECONDS
    assert mail.is_whole


async def test_mail_through_turn_is_quick(host: Host) -> None:
    """From ``post`` to the sender's knowledge that it was handled, 95 of 100 envelopes take less than 150 ms."""
    alice, bob = await hidden(host), await hidden(host)
    await alice.connect_to(bob.did)
    handled: asyncio.Queue[float] = asyncio.Queue()

    @bob.on("MESSAGE")
    async def note(_delivery: Any) -> None:
        handled.put_nowait(time.perf_counter())

    seconds = []
    for number in range(200):
        started = time.perf_counter()
        sent = await alice.send(bob.did, {"number": number, "text": "x" * 500})
        seconds.append(await handled.get() - started)
    p95 = sorted(seconds)[int(len(seconds) * 0.95)]

    print(f"mail through TURN: p95 {p95 * 1000:.1f} ms")  # noqa: T201
    assert "turn" == sent.road
    assert p95 < P95_SECONDS


def road_again(peer: Any, road: str) -> asyncio.Event:
    """Set when a peer takes a road that it had left."""
    event = asyncio.Event()

    @peer.on_road  # type: ignore[untyped-decorator]
    def note(now: str) -> None:
        if now == road:
            event.set()

    return event
