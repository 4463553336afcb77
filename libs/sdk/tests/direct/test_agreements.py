"""How channels come about, over real connections of the stack."""

import asyncio
import gc
import weakref

import msgspec
import pytest
from libs.sdk.tests.direct.bed import bedded

from aiconexus.protocol.direct_errors import ChannelClosed, ChannelExists
from aiconexus.protocol.errors import Refused
from aiconexus.protocol.frames import Agree, Agreed
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.settings import Direct


async def test_second_channel_of_a_label_is_refused_on_both_sides() -> None:
    """A label names one channel between two agents, whoever opens it."""
    async with bedded() as bed:
        await bed.open("chat")

        with pytest.raises(ChannelExists):
            await bed.a.channels.open_channel("chat")
        with pytest.raises(ChannelExists):
            await bed.b.channels.open_channel("chat")


async def test_second_channel_of_a_stream_is_refused_on_both_sides() -> None:
    """Likewise a stream."""
    async with bedded() as bed:
        await bed.open("chat", DataChannelConfig(id=7))

        with pytest.raises(ChannelExists):
            await bed.a.channels.open_channel("talk", DataChannelConfig(id=7))
        with pytest.raises(ChannelExists):
            await bed.b.channels.open_channel("talk", DataChannelConfig(id=7))


async def test_the_other_side_refuses_what_it_has() -> None:
    """A side that does not know yet that the label is taken is told by the other."""
    async with bedded() as bed:
        bed.b.mute = lambda word: isinstance(word, Agree)
        opening = asyncio.create_task(bed.b.channels.open_channel("chat"))
        await asyncio.wait({opening}, timeout=0)
        bed.b.mute = lambda word: False

        with pytest.raises(ChannelExists):
            await bed.a.channels.open_channel("chat")
        opening.cancel()


async def test_both_sides_open_a_label_at_once() -> None:
    """The higher DID's channel is the one; the other side is told that there is one already, and has it."""
    async with bedded() as bed:
        ours, theirs = await asyncio.gather(
            bed.a.channels.open_channel("chat"), bed.b.channels.open_channel("chat"), return_exceptions=True
        )
        channel = await bed.a.opened.get()

        assert isinstance(ours, ChannelExists)
        assert isinstance(theirs, Channel)
        await theirs.send("hello")
        assert "hello" == await channel.receive()


async def test_negotiated_channel_is_one_for_both_sides() -> None:
    """Both sides describe it alike, at once or one after the other, and neither announces it in-band."""
    config = DataChannelConfig(negotiated=True, id=5)
    async with bedded() as bed:
        ours, theirs = await asyncio.gather(
            bed.a.channels.open_channel("chat", config), bed.b.channels.open_channel("chat", config)
        )
        await ours.send("at once")

        assert "at once" == await theirs.receive()

        later = DataChannelConfig(negotiated=True, id=9)
        ours = await bed.a.channels.open_channel("later", later)
        theirs = await bed.b.channels.open_channel("later", later)
        await theirs.send("one after the other")

        assert "one after the other" == await ours.receive()
        with pytest.raises(ChannelExists):
            await bed.b.channels.open_channel("later", later)


CONFIGS = {
    "reliable": DataChannelConfig(),
    "unordered": DataChannelConfig(ordered=False),
    "no retransmits": DataChannelConfig(max_retransmits=0, ordered=False),
    "some retransmits": DataChannelConfig(max_retransmits=3),
    "lifetime": DataChannelConfig(max_packet_life_time_ms=250),
    "protocol": DataChannelConfig(protocol="chess.v1"),
    "id": DataChannelConfig(id=77),
    "negotiated": DataChannelConfig(negotiated=True, id=12),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
async def test_stack_gets_what_the_configuration_says(config: DataChannelConfig) -> None:
    """Order, lifetime, retransmissions, protocol, id and negotiated are those of the data channels on both sides."""
    async with bedded() as bed:
        channels = await bed.open("chat", config)
        ours, theirs = (wire.raw(channels[0].id) for wire in bed.wires["1"])

        for raw in (ours, theirs):
            assert config.ordered == raw.ordered
            assert config.max_packet_life_time_ms == raw.maxPacketLifeTime
            assert config.max_retransmits == raw.maxRetransmits
            assert config.protocol == raw.protocol
            assert config.negotiated == raw.negotiated
            assert config.id in (None, raw.id)
        assert "chat" == theirs.label
        assert [channel.config for channel in channels] == [
            msgspec.structs.replace(config, id=each) for each in (config.id, ours.id)
        ]
        for sender, receiver in (channels, reversed(channels)):
            await sender.send("hello")
            assert "hello" == await receiver.receive()


async def test_names_that_are_not_ascii() -> None:
    """The agreement carries them where the stack would break them."""
    async with bedded() as bed:
        _, theirs = await bed.open("Gespräch ☎", DataChannelConfig(protocol="schön"))

        assert "Gespräch ☎" == theirs.label
        assert "schön" == theirs.config.protocol


async def test_too_many_channels_are_refused_on_both_sides() -> None:
    """Neither side has more channels than its settings allow."""
    async with bedded(Direct(channels_max=2)) as bed:
        await bed.open("one")
        await bed.open("two")

        with pytest.raises(Refused):
            await bed.a.channels.open_channel("three")


async def test_other_side_that_is_full_says_so() -> None:
    """An agreement is refused where there is no room."""
    async with bedded() as bed:
        bed.b.settings = Direct(channels_max=1)
        await bed.open("one")

        with pytest.raises(ChannelClosed, match="too many channels"):
            await bed.a.channels.open_channel("two")


async def test_stream_without_agreement_is_closed() -> None:
    """A data channel on which nobody agreed never reaches the application."""
    async with bedded() as bed:
        raw = bed.wires["1"][0].pc.createDataChannel("smuggled", id=200)
        closed = asyncio.Event()
        raw.on("close", closed.set)
        await closed.wait()

        assert ["foreign_frame"] == [event for event, _ in bed.b.incidents]
        assert bed.b.opened.empty()


async def test_channel_without_features_carries_plain_messages() -> None:
    """A peer that knows neither parts nor resumption, such as a page in a browser, gets them as the stack has them."""
    async with bedded() as bed:
        raw = bed.wires["1"][0].pc.createDataChannel("plain", negotiated=True, id=30)
        received: asyncio.Queue[bytes | str] = asyncio.Queue()
        raw.on("message", received.put_nowait)
        bed.a.send_word(Agree("plain", 30, negotiated=True, token="t"))
        theirs = await bed.b.opened.get()
        raw.send("hello")
        await theirs.send(b"back")

        assert "hello" == await theirs.receive()
        assert b"back" == await received.get()


async def test_stream_that_the_other_side_does_not_reset_is_refused() -> None:
    """The stack keeps it; a peer that wants it for the next channel is told so, and harms nobody."""
    async with bedded() as bed:
        bed.wires["1"][0].sctp._receive_reconfig_param = _deaf  # type: ignore[method-assign, assignment]
        bed.wires["1"][0].pc.createDataChannel("smuggled", id=200)
        bed.a.send_word(Agree("next", 200, token="t", negotiated=True))
        ours, theirs = await bed.open("chat")
        await ours.send("hello")

        assert "hello" == await theirs.receive()
        assert ["chat"] == list(bed.b.channels.open)
        with pytest.raises(ChannelExists):
            await bed.b.channels.open_channel("other", DataChannelConfig(id=200))


async def _deaf(_: object) -> None:
    """Hear of no reset."""


async def test_what_is_wanted_no_more_can_be_asked_for_again_at_once() -> None:
    """Whoever cancels is taken at its word: the other side does not keep the label for a channel that never comes."""
    async with bedded() as bed:
        bed.b.mute = lambda word: isinstance(word, Agreed)
        opening = asyncio.create_task(bed.a.channels.open_channel("chat"))
        await asyncio.wait({opening}, timeout=0.05)
        opening.cancel()
        await asyncio.wait({opening})
        bed.b.mute = lambda word: False
        ours, theirs = await bed.open("chat")
        await ours.send("hello")

        assert "hello" == await theirs.receive()


async def test_closed_channels_are_let_go() -> None:
    """What a peer sent into a channel that it has closed takes no room once the application is through with it."""
    async with bedded() as bed:
        ours, theirs = await bed.open("chat")
        await ours.send(bytes(100_000))
        await ours.close()
        await theirs.wait_closed()
        gone = weakref.ref(theirs._course)
        del ours, theirs
        await bed.disconnect("1")
        gc.collect()

        assert gone() is None
