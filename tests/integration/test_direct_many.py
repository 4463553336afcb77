"""Many direct connections, side by side and one after the other."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.direct_agents import Told, connected, peers_of, settled
from tests.integration.sdk_agents import Host

from aiconexus.sdk import Agent
from aiconexus.sdk.direct.states import ConnectionState

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 50
SESSIONS = 12


async def test_many_peers_at_once(host: Host) -> None:
    """One agent has fifty connections that all work."""
    alice = await host.open(host.make())
    others = await asyncio.gather(*(host.open(host.make()) for _ in range(MANY)))
    peers = await asyncio.gather(*(alice.connect_to(other.did, timeout=60.0) for other in others))

    assert {ConnectionState.CONNECTED} == {peer.state for peer in peers}
    assert MANY == len({peer.session for peer in peers}) == len(alice.peers)


async def test_sessions_leave_nothing_behind(alice: Agent, host: Host) -> None:
    """Many sessions one after the other: tasks and descriptors are what they were."""
    bob = await host.open(host.make())
    peer, _ = await connected(alice, bob)
    await peer.close()
    before, descriptors = tasks_now(), descriptors_now()
    for _ in range(SESSIONS):
        left = peers_of(bob)
        peer, mirror = await connected(alice, bob)
        await peer.replace()
        gone = Told()
        mirror.on_state(gone)
        await peer.close()
        await gone.wait_for(ConnectionState.CLOSED)
        assert len(left.facts) <= 1
    await settled(alice)
    await settled(bob)

    assert set() == tasks_now() - before
    assert descriptors_now() <= descriptors


def tasks_now() -> set[str]:
    """What runs in this loop, by what it is."""
    return {f"{task.get_name()}: {task.get_coro()}" for task in asyncio.all_tasks()}


def descriptors_now() -> int:
    """Files and sockets that this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
