"""A revoked key loses its direct channels, too."""

import asyncio

import pytest
from tests.integration.lossy import lossy
from tests.integration.sdk_agents import Host

from aiconexus.cli.platform import Platform
from aiconexus.sdk import Agent
from aiconexus.sdk.direct.states import ConnectionState

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVOCATION_SECONDS = 5.0


async def test_revoked_peer_is_left_within_five_seconds(host: Host, platform: Platform) -> None:
    """Its owner declares a stolen key void; whoever is connected with the thief learns it and leaves."""
    async with lossy(platform.endpoints().ws, 0.0, cut=0.0, seed=1) as link:
        thief = await host.open(host.make("binary", "stolen", url=link.url))
        alice = await host.open(host.make())
        peer = await alice.connect_to(thief.did)
        gone = asyncio.Event()

        @peer.on_state
        def note(state: ConnectionState) -> None:
            if state is ConnectionState.CLOSED:
                gone.set()

        # The thief does not hear that it is thrown out, and keeps its channel.
        link.deafen()
        owner = await host.open(Agent(thief.identity, platform.endpoints().nats, state=":memory:"))
        await owner.revoke("stolen")
        async with asyncio.timeout(REVOCATION_SECONDS):
            await gone.wait()

        assert "key_revoked" in [incident.event for incident in alice.incidents()]
        assert peer.road == "relay"
        await host.close()
