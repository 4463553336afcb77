"""Agents that speak to each other through a real TURN server, with and without a login that counts."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sdk_agents import SECONDS, Host
from tests.turn.correspondence import Correspondence
from tests.turn.coturn import Coturn
from tests.turn.hiding import TRANSPORTS, hidden
from tests.turn.tap import kinds_in, overheard

from aiconexus.cli.platform import Platform
from aiconexus.protocol.direct_errors import ConnectionFailed
from aiconexus.protocol.signal_bodies import Answer, Offer

pytestmark = pytest.mark.asyncio(loop_scope="module")

P95_SECONDS = 0.150


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
        await host.close()

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
