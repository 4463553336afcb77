"""Channels over real connections of the stack."""

import asyncio
import gc
import weakref

import pytest
from libs.sdk.tests.direct.bed import Link, bedded

from aiconexus.protocol.direct_errors import ChannelClosed, MessageTooLarge
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import ChannelState, DataChannelConfig
from aiconexus.sdk.direct.flow import WINDOW_BYTES
from aiconexus.sdk.direct.inflow import UNREAD_MAX_BYTES
from aiconexus.sdk.direct.sending import HIGH_WATER_BYTES
from aiconexus.sdk.direct.settings import Direct


async def take(channel: Channel, count: int) -> list[bytes | str]:
    """Read so many messages."""
    return [await channel.receive() for _ in range(count)]


async def test_messages_pass_both_ways() -> None:
    """What one side sends the other receives, bytes as bytes and text as text, empty ones included."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        for message in (b"one", "zwei", b"", ""):
            await ours.send(message)
        await theirs.send("back")

        assert [b"one", "zwei", b"", ""] == await take(theirs, 4)
        assert "back" == await ours.receive()


async def test_long_message_arrives_whole() -> None:
    """A message far above what the stack takes arrives as one."""
    message = bytes(range(256)) * 20_000
    async with bedded() as bed:
        ours, theirs = await bed.open()
        sending = asyncio.create_task(ours.send(message))

        assert message == await theirs.receive()
        await sending


async def test_channel_is_closed_on_both_sides_after_everything() -> None:
    """What was sent before the end arrives, then the reader sees the end."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        for number in range(1000):
            await ours.send(str(number))
        await ours.close()

        assert [str(number) for number in range(1000)] == [message async for message in theirs]
        assert ChannelState.CLOSED is ours.state is theirs.state
        with pytest.raises(ChannelClosed):
            await theirs.send("late")


async def test_many_channels_are_found_and_closed_together() -> None:
    """Channels of one peer are apart from each other; the end of the peer ends all of them."""
    async with bedded() as bed:
        pairs = [await bed.open(f"channel {number}") for number in range(10)]
        for number, (ours, _) in enumerate(pairs):
            await ours.send(f"message {number}")

        assert [f"message {number}" for number in range(10)] == [await theirs.receive() for _, theirs in pairs]
        assert [f"channel {number}" for number in range(10)] == list(bed.b.channels.open)
        assert pairs[3][0] is bed.a.channels.open["channel 3"]

        bed.b.channels.close("enough")

        assert {} == bed.b.channels.open
        assert {ChannelState.CLOSED} == {theirs.state for _, theirs in pairs}
        for ours, _ in pairs:
            with pytest.raises(ChannelClosed, match="ended the stream"):
                await ours.wait_closed()


async def test_frame_that_contradicts_the_agreement_ends_the_channel() -> None:
    """A peer that does not speak our frames loses the channel, and is noted."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        bed.wires["1"][0].raw(ours.id).send("no frame")

        with pytest.raises(ChannelClosed, match="no frame"):
            await theirs.receive()
        assert ["foreign_frame"] == [event for event, _ in bed.b.incidents]


async def test_slow_reader_holds_up_the_writer() -> None:
    """What is not read yet is bounded on both sides, and arrives once it is read."""
    message, count = bytes(16_000), 600
    async with bedded() as bed:
        ours, theirs = await bed.open()
        sent = 0
        while ours.try_send(message):
            sent += 1
        sending = asyncio.create_task(ours.send(message))
        done, _ = await asyncio.wait({sending}, timeout=0.2)

        assert not done
        assert sent * 16_000 < HIGH_WATER_BYTES + WINDOW_BYTES + 256 * 1024
        assert theirs._course.source._unread <= UNREAD_MAX_BYTES  # type: ignore[union-attr]

        assert [message] * sent == await take(theirs, sent)
        await sending
        rest = asyncio.create_task(take(theirs, count))
        for _ in range(count - 1):
            await ours.send(message)
        assert [message] * count == await rest


async def test_concurrent_senders_keep_their_messages_whole_and_in_order() -> None:
    """Messages of any length from several tasks do not mix, and each task's arrive in its order."""
    async with bedded() as bed:
        ours, theirs = await bed.open()

        async def talk(letter: str) -> None:
            for number in range(20):
                await ours.send(f"{letter} {number} " + letter * (number % 4) * 40_000)

        async with asyncio.TaskGroup() as group:
            for letter in "abc":
                group.create_task(talk(letter))
            messages = [str(message).split() for message in await take(theirs, 60)]

        for letter in "abc":
            mine = [message for message in messages if message[0] == letter]
            assert [str(number) for number in range(20)] == [message[1] for message in mine]
            assert {letter} == set("".join(message[2] for message in mine if len(message) > 2))


async def test_cancelled_long_message_leaves_nothing_behind() -> None:
    """What was cut off in the middle never arrives, and the channel goes on."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        sending = asyncio.create_task(ours.send(bytes(30_000_000)))
        await asyncio.wait({sending}, timeout=0.05)
        sending.cancel()
        await ours.send("next")
        await ours.send(bytes(300_000))

        assert "next" == await theirs.receive()
        assert bytes(300_000) == await theirs.receive()
        assert 0 == bed.b.channels.budget.used_bytes
        await ours.send(bytes(400_000))
        assert bytes(400_000) == await theirs.receive()


async def test_too_long_message_is_refused() -> None:
    """Nobody sends what the other side would not take."""
    async with bedded(Direct(message_max_bytes=100_000)) as bed:
        ours, _ = await bed.open()
        loose, _ = await bed.open("loose", DataChannelConfig(max_retransmits=0))

        with pytest.raises(MessageTooLarge):
            await ours.send(bytes(100_001))
        with pytest.raises(MessageTooLarge):
            await loose.send(bytes(20_000))
        with pytest.raises(MessageTooLarge):
            ours.try_send(bytes(20_000))
        with pytest.raises(TypeError):
            await ours.send(5)  # type: ignore[arg-type]


async def test_callback_gets_each_message() -> None:
    """A callback is called in order; one that is a coroutine function is awaited in between."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        plain: list[bytes | str] = []
        slow: list[bytes | str] = []
        done = asyncio.Event()

        @theirs.on_message
        def note(message: bytes | str) -> None:
            plain.append(message)

        @ours.on_message
        async def follow(message: bytes | str) -> None:
            await ours.send("seen")
            slow.append(message)
            if message == "199":
                done.set()

        for number in range(200):
            await ours.send(str(number))
            await theirs.send(str(number))
        await done.wait()

        assert [str(number) for number in range(200)] == [message for message in plain if message != "seen"]
        assert [str(number) for number in range(200)] == [message for message in slow if message != "seen"]


async def test_unreliable_channel_loses_some_and_goes_on() -> None:
    """Under real loss, a channel without retransmissions loses messages, doubles none, and does not stop."""
    link = Link(loss=0.0)
    async with bedded(link=link) as bed:
        ours, theirs = await bed.open("loose", DataChannelConfig(ordered=False, max_retransmits=0))
        got: list[int] = []
        last = asyncio.Event()

        @theirs.on_message
        def note(message: str) -> None:
            got.append(int(message))
            if int(message) >= 1000:
                last.set()

        link.loss = 0.1
        for number in range(1000):
            await ours.send(str(number))
        waiting = asyncio.create_task(last.wait())
        while ours.buffered_amount:
            await asyncio.wait({waiting}, timeout=0.05)
        link.loss = 0.0
        while not last.is_set():
            await ours.send("1000")
            await asyncio.wait({waiting}, timeout=0.05)

        early = [number for number in got if number < 1000]
        assert 0 < len(early) < 1000
        assert len(early) == len(set(early))


async def test_reliable_channel_loses_nothing_under_loss() -> None:
    """Under the same loss a reliable channel delivers everything, in order."""
    async with bedded(link=Link(loss=0.03)) as bed:
        ours, theirs = await bed.open()
        reading = asyncio.create_task(take(theirs, 300))
        for number in range(300):
            await ours.send(str(number))

        assert [str(number) for number in range(300)] == await reading


async def test_close_in_both_directions_at_once() -> None:
    """Nobody waits for the other for ever."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        await asyncio.gather(ours.close(), theirs.close())

        assert ChannelState.CLOSED is ours.state is theirs.state
        again, _ = await bed.open()
        assert ChannelState.OPEN is again.state


async def test_close_without_a_reader_says_that_not_everything_arrived() -> None:
    """Whoever closes learns when the other side did not take all in time."""
    async with bedded() as bed:
        ours, _ = await bed.open()
        while ours.try_send(bytes(16_000)):
            pass

        with pytest.raises(ChannelClosed, match="everything in time"):
            await ours.close(timeout=0.2)
        assert ChannelState.CLOSED is ours.state


async def test_callback_that_waits_is_kept() -> None:
    """One that waits for something that nobody else knows of is not thrown away, and the channel with it."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        waits: asyncio.Queue[weakref.ref[asyncio.Future[None]]] = asyncio.Queue()

        @theirs.on_message
        async def wait(_: bytes | str) -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waits.put_nowait(weakref.ref(future))
            await future

        await ours.send("one")
        await ours.send("two")
        first = await waits.get()
        gc.collect()
        future = first()

        assert future is not None
        future.set_result(None)
        assert (await waits.get())() is not None
