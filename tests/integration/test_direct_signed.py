"""Channels of signed messages: every word can be shown to others, and nothing unsigned counts."""

import asyncio

import pytest
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.direct_errors import ChannelClosed, InvalidChannel, MessageTooLarge
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import compose, unseal
from aiconexus.sdk import Agent
from aiconexus.sdk.direct import signed
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.signed import SignedChannel

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 2_000


async def connected(host: Host) -> tuple[Agent, Peer, Agent, Peer]:
    """Two agents, and what each has of the other."""
    met: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()
    bob = host.make()
    bob.on_peer(met.set_result)
    alice = await host.open(host.make())
    await host.open(bob)
    peer = await alice.connect_to(bob.did)
    async with asyncio.timeout(SECONDS):
        return alice, peer, bob, await met


async def opened(peer: Peer, far: Peer) -> tuple[SignedChannel, SignedChannel]:
    """Both ends of a signed channel."""
    came: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
    far.on_channel(came.set_result)
    near = await peer.open_signed_channel("ledger")
    async with asyncio.timeout(SECONDS):
        return near, far.signed(await came)


async def test_messages_arrive_signed_in_order_and_share_signatures(host: Host) -> None:
    """Every message comes once in its turn, in fewer envelopes than messages, whose last can be shown to anybody."""
    alice, peer, _, far = await connected(host)
    near, there = await opened(peer, far)
    sent = [f"entry {number}" if number % 2 else bytes([number % 256]) * 700 for number in range(COUNT)]

    async def write() -> None:
        for message in sent:
            await near.send(message)
        await near.close()

    async with asyncio.timeout(SECONDS):
        _, got = await asyncio.gather(write(), read_all(there))

    assert got == sent
    assert near.envelopes_sent < COUNT / 2
    assert there.last is not None
    assert unseal(there.last).envelope.sender == alice.did


async def read_all(channel: SignedChannel) -> list[bytes | str]:
    """All that comes until the end."""
    return [message async for message in channel]


@pytest.mark.parametrize("case", ["unsigned", "text", "other_key", "other_reader", "again", "ahead", "other_channel"])
async def test_what_the_peer_did_not_sign_for_here_is_refused(host: Host, case: str) -> None:
    """It ends the channel, is kept as an incident, and nothing of it is read."""
    alice, peer, bob, far = await connected(host)
    near, there = await opened(peer, far)
    key = SigningKey(bytes(range(32))) if case == "other_key" else alice.identity.key
    recipient = alice.did if case == "other_reader" else bob.did
    envelope = compose(
        Message(content=["pay"]),
        key,
        recipient,
        id_=new_id(),
        now_ms=now_ms(),
        thread="elsewhere" if case == "other_channel" else "ledger",
        sequence={"again": 0, "ahead": 2}.get(case, 1),
    )
    frames: dict[str, bytes | str] = {"unsigned": b"pay", "text": "pay"}
    await near.send("first")
    await near.flush()
    await near.channel.send(frames.get(case, envelope))
    async with asyncio.timeout(SECONDS):
        first = await there.receive()
        with pytest.raises(ChannelClosed):
            await there.receive()

    assert first == "first"
    assert "signature_invalid" in [each.event for each in bob.incidents()]


async def test_only_a_channel_of_that_protocol_is_read_as_signed(host: Host) -> None:
    """A plain channel cannot pass for one, and a message must fit its envelope."""
    _, peer, _, far = await connected(host)
    near, _ = await opened(peer, far)
    plain = await peer.open_channel("plain", DataChannelConfig())
    with pytest.raises(InvalidChannel, match=signed.PROTOCOL):
        peer.signed(plain)
    with pytest.raises(MessageTooLarge):
        await near.send(bytes(signed.MESSAGE_MAX_BYTES + 1))


async def test_what_fits_no_envelope_is_refused_at_once(host: Host) -> None:
    """A text counts with the bytes that it takes, nothing but bytes and text is taken, and what follows arrives."""
    _, peer, _, far = await connected(host)
    near, there = await opened(peer, far)
    with pytest.raises(MessageTooLarge):
        await near.send("€" * (signed.MESSAGE_MAX_BYTES // 2))
    with pytest.raises(UnicodeEncodeError):
        await near.send("\ud800")
    with pytest.raises(TypeError):
        await near.send([1])  # type: ignore[arg-type]
    longest = "€" * (signed.MESSAGE_MAX_BYTES // 3)
    await near.send(longest)
    await near.flush()
    async with asyncio.timeout(SECONDS):
        assert longest == await there.receive()
