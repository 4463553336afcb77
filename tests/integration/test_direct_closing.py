"""An agent that is closed has closed every socket of its direct connections, whatever was going on."""

import asyncio
import contextlib
import os
import signal

import pytest
from libs.sdk.tests.direct.descriptors import sockets_now
from tests.integration.direct_agents import connected
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.protocol.errors import AiconexusError, Refused
from aiconexus.protocol.seal import compose, unseal
from aiconexus.protocol.signal_bodies import Offer
from aiconexus.sdk import Agent, Delivery
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.relation import BYE_SECONDS
from aiconexus.sdk.direct.settings import Direct

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHASES = ("servers", "gathering", "offering", "connecting", "opening", "hello")


async def connections_of(agent: Agent) -> set[Connection]:
    """Those that an agent has not closed yet."""
    assert agent._engine is not None
    return (await agent._engine.door.peers()).local.connections


async def reach(agent: Agent, did: str, phase: str, steps: int) -> None:
    """Wait until a negotiation has come so far, and some turns of the loop longer."""
    async with asyncio.timeout(SECONDS):
        while (peer := agent.peer(did)) is None or peer._relation.phase != phase:
            await asyncio.sleep(0)
    for _ in range(steps):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", [0, 3, 6, 9, 12])
@pytest.mark.parametrize("phase", PHASES)
async def test_agents_that_close_in_the_midst_leave_nothing(host: Host, phase: str, steps: int) -> None:
    """However far a connection has come, both ends leave no socket, no task, and no coroutine that nobody awaited."""
    tasks, sockets = asyncio.all_tasks(), sockets_now()
    alice, bob = await host.open(host.make()), await host.open(host.make())
    connecting = asyncio.create_task(alice.connect_to(bob.did))
    await reach(alice, bob.did, phase, steps)
    await asyncio.gather(alice.close(), bob.close())

    assert set() == sockets_now() - sockets
    assert set() == asyncio.all_tasks() - tasks - {connecting}
    assert {} == alice.peers == bob.peers
    with contextlib.suppress(AiconexusError):
        await connecting


@pytest.mark.parametrize("enabled", [True, False])
async def test_offer_that_comes_too_late_begins_nothing(host: Host, enabled: bool) -> None:
    """An agent that has left all its peers, and is still online, neither answers an OFFER nor declines it."""
    bob, stranger = await host.open(host.make(direct=Direct(enabled=enabled))), new_key()
    door = bob._open.door
    await door.close()
    tasks = asyncio.all_tasks()
    letter = unseal(compose(Offer(sdp="v=0"), stranger, bob.did, id_=new_id(), now_ms=now_ms()))

    assert door.take(Delivery(letter.envelope, letter.body, bob.post))
    assert tasks >= asyncio.all_tasks()


async def test_whoever_stops_to_wait_for_the_end_does_not_stop_it(host: Host) -> None:
    """A peer whose close is cancelled is closed nevertheless, and the agent waits for that."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    peer, _ = await connected(alice, bob)
    left = await connections_of(alice)
    assert 1 == len(left)
    closing = asyncio.create_task(peer.close())
    await asyncio.sleep(0)
    closing.cancel()
    await alice.close()

    assert set() == left


async def test_replaced_connection_is_closed_though_nobody_lets_it_run_dry(host: Host) -> None:
    """What is cut off before its first step has its connection closed like what is cut off later."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    peer, _ = await connected(alice, bob)
    left, relation = await connections_of(alice), peer._relation
    former = relation.current
    assert former is not None
    relation._line._retire(former)
    relation._line.stop()
    async with asyncio.timeout(SECONDS):
        await relation.wait_retired(former.session)

    assert former not in left


async def test_platform_that_is_silent_holds_nobody(host: Host, platform: Platform) -> None:
    """An agent leaves in the midst of its offer, and signaling does not take its word: it does not wait for long."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    sockets = sockets_now()
    connecting = asyncio.create_task(alice.connect_to(bob.did))
    await reach(alice, bob.did, "offering", 0)
    pid = platform.pids["signaling"]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    began = asyncio.get_running_loop().time()
    try:
        await alice.close()
        took = asyncio.get_running_loop().time() - began
    finally:
        os.kill(pid, signal.SIGCONT)

    assert set() == sockets_now() - sockets
    assert took < BYE_SECONDS + 1.5
    with pytest.raises(AiconexusError):
        await connecting


async def test_agent_that_is_closed_connects_to_nobody(host: Host) -> None:
    """Neither anew, nor by a peer that it had."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    peer, _ = await connected(alice, bob)
    left = await connections_of(alice)
    await alice.close()

    with pytest.raises(Refused, match="closed"):
        await alice.connect_to(bob.did)
    with pytest.raises(AiconexusError):
        await peer.replace()
    assert set() == left
