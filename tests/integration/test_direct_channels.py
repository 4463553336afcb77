"""Channels between agents of the SDK, while their connections come and go."""

import asyncio

import pytest
from tests.integration.direct_agents import Told, connected
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.sdk import Direct
from aiconexus.sdk.direct.bandwidth import BandwidthMode
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import ChannelState
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.quality import Rating
from aiconexus.sdk.direct.states import ConnectionState

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = Direct(heartbeat_seconds=0.2, dead_seconds=0.6, heal_first_seconds=0.2, heal_max_seconds=0.5)
COUNT = 3000


async def pair(host: Host) -> tuple[Peer, Peer, Channel, Channel]:
    """Two peers, and both ends of a channel."""
    alice, bob = await host.open(host.make(direct=QUICK)), await host.open(host.make(direct=QUICK))
    peer, mirror = await connected(alice, bob)
    told = Told()
    mirror.on_channel(told)
    ours = await peer.open_channel("chat")
    await told.wait(bool)
    return peer, mirror, ours, told.facts[0]


async def send_all(channel: Channel) -> None:
    """Send numbered messages."""
    for number in range(COUNT):
        await channel.send(f"{number} ".ljust(2000))


async def read_all(channel: Channel, halfway: asyncio.Event) -> list[int]:
    """Read them."""
    numbers: list[int] = []
    while len(numbers) < COUNT:
        numbers.append(int(str(await channel.receive()).split()[0]))
        if len(numbers) == COUNT // 3:
            halfway.set()
    return numbers


async def break_connection(peer: Peer) -> None:
    """Have the stack end it, without a word to the other side."""
    connection = peer._relation.current
    assert connection is not None
    await connection.pc.close()


@pytest.mark.parametrize("how", ["rotate", "break"])
async def test_channel_outlives_its_connection(host: Host, how: str) -> None:
    """While messages pass in both directions another connection comes: lost 0, doubled 0, order kept."""
    peer, _, ours, theirs = await pair(host)
    halfway, states = asyncio.Event(), Told()
    peer.on_state(states)
    before = peer.session
    async with asyncio.timeout(SECONDS * 3), asyncio.TaskGroup() as group:
        for sender in (ours, theirs):
            group.create_task(send_all(sender))
        read = [group.create_task(read_all(receiver, halfway)) for receiver in (ours, theirs)]
        await halfway.wait()
        if how == "rotate":
            await peer.replace("rotate")
        else:
            await break_connection(peer)
            await states.wait_for(ConnectionState.DISCONNECTED, ConnectionState.CONNECTED)

    assert [list(range(COUNT))] * 2 == [task.result() for task in read]
    assert before != peer.session
    assert (ChannelState.OPEN, ChannelState.OPEN) == (ours.state, theirs.state)


async def test_peer_tells_statistics_and_quality(host: Host) -> None:
    """Round trip, pair, bytes and channels are those of the connection; the rating of a loopback is the best."""
    peer, mirror, ours, theirs = await pair(host)
    ratings = Told()
    peer.on_quality(ratings)
    await ours.send(bytes(100_000))
    await theirs.receive()
    await ratings.wait(bool)
    statistics = await peer.statistics()

    assert statistics.transport is not None
    assert (peer.did, peer.session, "offerer", "connected", "direct") == (
        statistics.did,
        statistics.session,
        statistics.role,
        statistics.state,
        statistics.road,
    )
    assert statistics.transport.bytes_sent > 100_000
    assert {"host", "prflx"} >= {statistics.transport.local_type, statistics.transport.remote_type}
    assert [("chat", 1, 100_000)] == [(each.label, each.messages_sent, each.bytes_sent) for each in statistics.channels]
    assert statistics.rtt_seconds is not None
    assert 0 < statistics.rtt_seconds < 1
    assert Rating.EXCELLENT is peer.quality.rating
    assert BandwidthMode.HIGH is peer.bandwidth
    assert theirs is mirror.channel("chat")
