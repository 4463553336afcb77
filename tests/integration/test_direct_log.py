"""What becomes of peers and channels can be followed in the log of either agent, by the session."""

import asyncio
import logging

import pytest
from tests.integration.sdk_agents import SECONDS, Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_life_of_a_peer_and_its_channel_is_in_the_log(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Each step names the peer and the session; nothing tells where anybody is, or what was said."""
    caplog.set_level(logging.INFO, "aiconexus.direct")
    bob = await host.open(host.make())
    alice = await host.open(host.make())
    peer = await alice.connect_to(bob.did)
    session = peer.session
    channel = await peer.open_channel("notes")
    await channel.send("a secret")
    await peer.close()
    async with asyncio.timeout(SECONDS):
        await bob.close()
    ours = [record for record in caplog.records if getattr(record, "peer", None) == bob.did]
    told = [(record.getMessage().split()[0], getattr(record, "state", None)) for record in ours]

    assert ("direct.peer_changed", "connecting") == told[0]
    assert ("direct.peer_changed", "connected") in told
    assert ("direct.channel_changed", "open") in told
    assert ("direct.peer_changed", "closed") in told
    assert session in {getattr(record, "session", None) for record in ours}
    assert not any("secret" in text or "127.0.0.1" in text for text in caplog.messages)


async def test_peer_and_channel_say_what_they_are(host: Host) -> None:
    """A line in a debugger or a log is enough to know one, and how old a channel is."""
    bob = await host.open(host.make())
    alice = await host.open(host.make())
    peer = await alice.connect_to(bob.did)
    channel = await peer.open_channel("notes")

    assert f"Peer({bob.did}, connected, direct)" == repr(peer)
    assert f"<Channel 'notes' id={channel.id} open age=" in repr(channel)
    assert channel.age_seconds >= 0.0
    assert peer is alice.peer(bob.did)
    assert channel is peer.channel("notes")
