"""Direct connections that are lost, and come back."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.agents import Spec
from tests.integration.direct_agents import Told, connected, incidents_of, settled, stack_of
from tests.integration.processes import AgentProcess
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.cli.platform import Platform
from aiconexus.sdk import Agent, Direct
from aiconexus.sdk.direct.states import ConnectionState, IceState

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMPATIENT = Direct(heartbeat_seconds=0.2, dead_seconds=0.6, heal_first_seconds=0.2, heal_max_seconds=0.5)


async def test_lost_connection_heals_by_itself(alice: Agent, bob: Agent) -> None:
    """The stack's connection breaks: the peer is disconnected, then connected again in another session."""
    peer, mirror = await connected(alice, bob)
    states, notes, before = Told(), incidents_of(alice), peer.session
    peer.on_state(states)
    await stack_of(peer).close()
    await states.wait_for(ConnectionState.CONNECTED)

    assert [ConnectionState.DISCONNECTED, ConnectionState.CONNECTED] == states.facts
    assert before != peer.session
    await notes.wait_for("relay_fallback", "direct_restored")
    async with asyncio.timeout(SECONDS):
        await mirror.wait_connected()
    assert ConnectionState.CONNECTED == mirror.state


async def test_silent_peer_is_noticed_and_comes_back(host: Host, platform: Platform, tmp_path: Path) -> None:
    """
    The other side stops answering though nothing breaks, and answers again.

    The relay is the road meanwhile, ICE counts as disconnected, and the same session goes on afterwards.
    """
    alice = await host.open(host.make(direct=Direct(heartbeat_seconds=0.2, dead_seconds=0.6, heal_first_seconds=60.0)))
    spec = Spec(label="bob", folder=str(tmp_path), url=platform.endpoints().nats)
    async with AgentProcess(spec) as bob:
        peer = await alice.connect_to(spec.identity.did)
        states, ice, before = Told(), Told(), peer.session
        peer.on_state(states)
        peer.on_ice_state(ice)
        bob.freeze()
        await states.wait_for(ConnectionState.DISCONNECTED)
        road = peer.road
        bob.thaw()
        await states.wait_for(ConnectionState.CONNECTED)

        assert "relay" == road
        assert [IceState.DISCONNECTED, IceState.COMPLETED] == ice.facts
        assert before == peer.session
        assert ["relay_fallback", "direct_restored"] == [each.event for each in reversed(alice.incidents())]


async def test_killed_peer_is_tried_again_until_it_is_back(host: Host, platform: Platform, tmp_path: Path) -> None:
    """The other process dies and another one of the same identity comes: the peer heals into it."""
    alice = await host.open(host.make(direct=IMPATIENT))
    spec = Spec(label="bob", folder=str(tmp_path), url=platform.endpoints().nats)
    states = Told()
    async with AgentProcess(spec) as bob:
        peer = await alice.connect_to(spec.identity.did)
        peer.on_state(states)
        before = peer.session
        await bob.kill()
        await states.wait_for(ConnectionState.DISCONNECTED)
    async with AgentProcess(spec):
        await states.wait_for(ConnectionState.CONNECTED)

        assert [ConnectionState.DISCONNECTED, ConnectionState.CONNECTED] == states.facts
        assert before != peer.session


async def test_healing_ends_where_it_is_refused(host: Host, platform: Platform, tmp_path: Path) -> None:
    """The peer comes back and does not accept us any more: nobody goes on trying."""
    alice = await host.open(host.make(direct=IMPATIENT))
    spec = Spec(label="bob", folder=str(tmp_path), url=platform.endpoints().nats)
    states = Told()
    async with AgentProcess(spec) as bob:
        peer = await alice.connect_to(spec.identity.did)
        peer.on_state(states)
        await bob.kill()
    await host.open(host.make("nats", "bob", direct=Direct(accept=lambda did: False)))
    await states.wait_for(ConnectionState.FAILED)

    assert [ConnectionState.DISCONNECTED, ConnectionState.FAILED] == states.facts
    assert {} == alice.peers


async def test_both_ends_heal_into_one_session(host: Host) -> None:
    """Both notice the loss and both offer at once: one session comes of it."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    for _ in range(5):
        peer, mirror = await connected(alice, bob)
        states, reflections = Told(), Told()
        peer.on_state(states)
        mirror.on_state(reflections)
        await asyncio.gather(stack_of(peer).close(), stack_of(mirror).close())
        await states.wait_for(ConnectionState.CONNECTED)
        await reflections.wait_for(ConnectionState.CONNECTED)
    await settled(alice)
    await settled(bob)

    assert alice.peers[bob.did].session == bob.peers[alice.did].session
