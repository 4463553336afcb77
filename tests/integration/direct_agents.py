"""What tests of direct connections wait for."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiortc import RTCPeerConnection
from tests.integration.sdk_agents import SECONDS

from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk import Agent
from aiconexus.sdk.direct.peer import Peer


class Told:
    """What a callback was told, in order."""

    def __init__(self) -> None:
        self.facts: list[Any] = []
        self._changed = asyncio.Event()

    def __call__(self, fact: Any) -> None:
        """Be the callback."""
        self.facts.append(fact)
        self._changed.set()

    async def wait(self, condition: Callable[[list[Any]], bool]) -> None:
        """Wait until what was told is enough."""
        async with asyncio.timeout(SECONDS):
            while not condition(self.facts):
                self._changed.clear()
                await self._changed.wait()

    async def wait_for(self, *facts: Any) -> None:
        """Wait until all of these were told."""
        await self.wait(lambda told: all(fact in told for fact in facts))


def incidents_of(agent: Agent) -> Told:
    """The events that an agent notes from now on."""
    told = Told()

    @agent.on_incident
    def note(incident: Incident) -> None:
        told(incident.event)

    return told


def peers_of(agent: Agent) -> Told:
    """The peers that an agent has from now on."""
    told = Told()
    agent.on_peer(told)
    return told


async def connected(alice: Agent, bob: Agent) -> tuple[Peer, Peer]:
    """Both ends of a direct connection, as each agent sees the other."""
    told = peers_of(bob)
    async with asyncio.timeout(SECONDS):
        ours = await alice.connect_to(bob.did)
    await told.wait(lambda peers: any(peer.did == alice.did for peer in peers) or alice.did in bob.peers)
    theirs = bob.peers[alice.did]
    async with asyncio.timeout(SECONDS):
        await theirs.wait_connected()
    return ours, theirs


def stack_of(peer: Peer) -> RTCPeerConnection:
    """The peer connection of the stack that a peer uses now."""
    connection = peer._relation.current
    assert connection is not None
    return connection.pc


async def settled(agent: Agent) -> None:
    """Wait until what is left of connections is closed."""
    assert agent._engine is not None
    peers = await agent._engine.door.peers()
    async with asyncio.timeout(SECONDS):
        await peers.local.graves.wait()
