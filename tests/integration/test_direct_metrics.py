"""Each metric of direct connections is moved by what it counts."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY
from tests.integration.direct_agents import Told, connected, incidents_of
from tests.integration.peers_by_hand import Hand, by_hand
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk import Agent, Direct, Identity
from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.channel_config import ChannelState, DataChannelConfig
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.states import ConnectionState

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = Direct(heartbeat_seconds=0.2, dead_seconds=0.6, heal_first_seconds=0.2, heal_max_seconds=0.5)
LISTED = {
    "webrtc_peer_connections_total",
    "webrtc_peer_connections_active",
    "webrtc_connection_time_seconds_count",
    "webrtc_messages_sent_total",
    "webrtc_messages_received_total",
    "webrtc_message_bytes_sent_total",
    "webrtc_message_bytes_received_total",
    "webrtc_errors_total",
    "webrtc_connection_retries_total",
    "webrtc_rtt_seconds_count",
    "webrtc_turn_fallback_total",
    "webrtc_connections_attempted_total",
    "webrtc_connections_established_total",
    "webrtc_connections_failed_total",
    "webrtc_connections_dropped_total",
    "webrtc_dtls_validation_failures_total",
    "webrtc_signature_verification_failures_total",
    "webrtc_key_rotations_total",
    "webrtc_security_events_total",
}
"""Those that the requirements name."""
ELSEWHERE = {"webrtc_turn_fallback_total", "webrtc_chunks_resent_total"}
"""Moved by ``tests/turn/test_fallback.py`` and, under loss, by ``libs/sdk/tests/direct/test_statistics.py``."""


def values() -> dict[str, float]:
    """Every metric of direct connections, whatever its labels."""
    found: dict[str, float] = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name.startswith("webrtc_") and not sample.name.endswith(("_created", "_bucket", "_sum")):
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


class Moved:
    """The metrics that have changed since the begin, at one moment or another."""

    def __init__(self) -> None:
        self.before = values()
        self.names: set[str] = set()

    def look(self) -> None:
        """Compare."""
        self.names |= {name for name, value in values().items() if value != self.before.get(name, 0.0)}


async def use_channels(peer: Peer, mirror: Peer) -> None:
    """Fill channels until the mode falls and an unreliable one drops something, then read."""
    told = Told()
    mirror.on_channel(told)
    ours = await peer.open_channel("chat")
    loose = await peer.open_channel("loose", DataChannelConfig(max_retransmits=0))
    await told.wait(lambda facts: len(facts) == 2)
    theirs, unread = told.facts
    for _ in range(100):
        assert ours.try_send(bytes(16_000))
    for _ in range(100):
        await theirs.receive()
    for _ in range(100):
        await loose.send(bytes(16_000))
    async with asyncio.timeout(SECONDS):
        while not unread.dropped:
            await ours.send("more")
            await theirs.receive()


async def break_and_heal(peer: Peer) -> None:
    """Have the stack end the connection under the peer, and wait until there is another."""
    states = Told()
    peer.on_state(states)
    connection = peer._relation.current
    assert connection is not None
    await connection.pc.close()
    await states.wait_for(ConnectionState.DISCONNECTED, ConnectionState.CONNECTED)


def without_fingerprints(text: str) -> str:
    """No fingerprint at all."""
    return "".join(line for line in text.splitlines(keepends=True) if "a=fingerprint" not in line)


async def deceive(alice: Agent, hand: Hand, change: Callable[[str], str]) -> None:
    """Offer something that no honest agent offers."""
    noted = incidents_of(alice)
    await hand.offer(alice.did, change)
    await noted.wait(bool)


async def test_each_metric_moves(host: Host) -> None:
    """What the requirements name is there, and everything that is there is moved by running code."""
    moved = Moved()
    alice = await host.open(host.make(direct=SETTINGS))
    bob = await host.open(host.make(direct=SETTINGS))
    peer, mirror = await connected(alice, bob)
    await use_channels(peer, mirror)
    moved.look()
    ratings = Told()
    peer.on_quality(ratings)
    await ratings.wait(bool)
    moved.look()
    await alice.rotate_keys()
    await break_and_heal(peer)
    channel = peer.channel("chat")
    assert channel is not None
    async with asyncio.timeout(SECONDS):
        while channel.state is not ChannelState.OPEN:
            await asyncio.sleep(0)
    with pytest.raises(AiconexusError):
        await alice.connect_to(Identity.generate().did)
    forger = Hand(await host.open(host.make(direct=by_hand())))
    await deceive(alice, forger, without_fingerprints)
    await forger.close()
    liar = Hand(await host.open(host.make(direct=by_hand())))
    await liar.offer(alice.did)
    await liar.take_answer()
    await liar.wait_open()
    noted = incidents_of(alice)
    liar.say(liar.hello("answerer"), alice.did)
    await noted.wait(bool)
    await liar.close()
    moved.look()

    assert LISTED <= set(values())
    assert set(metrics.TRAFFIC) <= set(values())
    assert set(values()) - ELSEWHERE - moved.names == set()
