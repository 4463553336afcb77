"""Channels while connections come and go: nothing lost, nothing doubled, order kept."""

import asyncio
from collections.abc import Callable

import pytest
from libs.sdk.tests.direct.bed import Bed, Host, bedded

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.frames import Agreed, Resume
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import ChannelState, DataChannelConfig

UNDER_WAY = 200
KINDS = {
    "ordered": DataChannelConfig(),
    "unordered": DataChannelConfig(ordered=False),
    "negotiated": DataChannelConfig(negotiated=True, id=3),
}


class Traffic:
    """Numbered messages of many sizes, from one end of a channel to the other, until they are stopped."""

    def __init__(self, sender: Channel, receiver: Channel) -> None:
        self.sent = 0
        self.received: list[int] = []
        self._sender = sender
        self._receiver = receiver
        self._is_stopping = False
        self._progress = asyncio.Condition()
        self._sending = asyncio.create_task(self._send())
        self._receiving = asyncio.create_task(self._receive())

    async def _send(self) -> None:
        while not self._is_stopping:
            size = 1000 if self.sent % 50 else 50_000
            await self._sender.send(f"{self.sent} ".ljust(size))
            self.sent += 1
            if self.sent % UNDER_WAY == 0:
                await self._until(lambda: self.sent - len(self.received) < UNDER_WAY or self._is_stopping)

    async def _receive(self) -> None:
        async for message in self._receiver:
            self.received.append(int(message.split()[0]))
            async with self._progress:
                self._progress.notify_all()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with self._progress:
            await self._progress.wait_for(is_so)

    async def pass_on(self, count: int) -> None:
        """Wait until so many more have arrived."""
        goal = len(self.received) + count
        await self._until(lambda: len(self.received) >= goal)

    async def stop(self) -> None:
        """Wait until everything that was sent has arrived."""
        self._is_stopping = True
        async with self._progress:
            self._progress.notify_all()
        await self._sending
        await self._until(lambda: len(self.received) >= self.sent)
        self._receiving.cancel()


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
async def test_planned_replacements_lose_and_double_nothing(config: DataChannelConfig) -> None:
    """Make before break, under load in both directions, several times."""
    async with bedded() as bed:
        ours, theirs = await bed.open("chat", config)
        flows = Traffic(ours, theirs), Traffic(theirs, ours)
        for number in range(2, 5):
            await flows[0].pass_on(100)
            await bed.connect(str(number))
            await asyncio.gather(
                bed.a.channels.drained(str(number - 1), 5.0), bed.b.channels.drained(str(number - 1), 5.0)
            )
            await bed.disconnect(str(number - 1))
        for flow in flows:
            await flow.pass_on(100)
            await flow.stop()

            assert list(range(flow.sent)) == (flow.received if config.ordered else sorted(flow.received))
        assert ChannelState.OPEN is ours.state is theirs.state


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
async def test_lost_connections_lose_and_double_nothing(config: DataChannelConfig) -> None:
    """A connection that ends in the middle, with a pause before the next: what was under way is sent again."""
    async with bedded() as bed:
        ours, theirs = await bed.open("chat", config)
        flows = Traffic(ours, theirs), Traffic(theirs, ours)
        for number in range(2, 5):
            await flows[0].pass_on(60)
            await bed.disconnect(str(number - 1))

            assert ChannelState.SUSPENDED is ours.state is theirs.state
            await bed.connect(str(number))
        for flow in flows:
            await flow.pass_on(100)
            await flow.stop()

            assert list(range(flow.sent)) == (flow.received if config.ordered else sorted(flow.received))


async def test_long_message_goes_on_where_it_broke_off() -> None:
    """Parts that arrived are not sent again."""
    message = bytes(range(256)) * 40_000
    async with bedded() as bed:
        ours, theirs = await bed.open()
        sending = asyncio.create_task(ours.send(message))
        while theirs._course.source.received < 80:  # type: ignore[union-attr]
            await asyncio.wait({sending}, timeout=0.005)
        await bed.disconnect("1")
        await bed.connect("2")

        assert message == await theirs.receive()
        await sending
        assert await _bytes_received(bed, "2") < 0.75 * len(message)


async def test_one_side_that_went_silent_and_came_back() -> None:
    """The same connection is used on, by a side that had let it rest and one that had not."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        flows = Traffic(ours, theirs), Traffic(theirs, ours)
        await flows[0].pass_on(50)
        bed.a.drop("1")

        assert ChannelState.SUSPENDED == ours.state
        await flows[1].pass_on(50)
        bed.a.use(bed.wires["1"][0])

        assert ChannelState.OPEN == str(ours.state)
        for flow in flows:
            await flow.pass_on(50)
            await flow.stop()

            assert list(range(flow.sent)) == flow.received


async def test_new_connection_that_only_one_side_used() -> None:
    """A side that went ahead comes back to the old connection, and has missed nothing."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        flows = Traffic(ours, theirs), Traffic(theirs, ours)
        await flows[0].pass_on(50)
        bed.b.mute = lambda word: isinstance(word, Resume)
        await bed.connect("2")
        bed.b.wire = bed.wires["1"][1]
        await bed.disconnect("2")
        bed.b.mute = lambda word: False
        bed.a.use(bed.wires["1"][0])
        bed.b.use(bed.wires["1"][1])
        for flow in flows:
            await flow.pass_on(50)
            await flow.stop()

            assert list(range(flow.sent)) == flow.received


async def test_unreliable_channels_just_go_on() -> None:
    """They use the next connection for what is sent from then on."""
    async with bedded() as bed:
        ours, theirs = await bed.open("loose", DataChannelConfig(max_retransmits=0))
        await ours.send("before")

        assert "before" == await theirs.receive()

        await bed.connect("2")
        await asyncio.gather(bed.a.channels.drained("1", 5.0), bed.b.channels.drained("1", 5.0))
        await bed.disconnect("1")
        await ours.send("after")
        await theirs.send("back")

        assert "after" == await theirs.receive()
        assert "back" == await ours.receive()


async def test_agreement_survives_its_connection() -> None:
    """A channel that was asked for opens in the next connection, whether or not the other side had agreed."""
    async with bedded() as bed:
        bed.b.mute = lambda word: isinstance(word, Agreed)
        opening = asyncio.create_task(bed.a.channels.open_channel("chat"))
        while not bed.b.channels._courses:
            await asyncio.wait({opening}, timeout=0.005)
        bed.b.mute = lambda word: False
        waiting = asyncio.create_task(bed.b.channels.open_channel("other"))
        await bed.disconnect("1")
        await bed.connect("2")
        ours, other = await asyncio.gather(opening, waiting)
        theirs = await bed.b.opened.get()
        await ours.send("hello")

        assert "hello" == await theirs.receive()
        assert ChannelState.OPEN is other.state


async def test_channel_of_a_peer_that_started_anew_is_closed() -> None:
    """A peer that knows nothing of a channel says so; the same label can be opened again."""
    async with bedded() as bed:
        ours, _ = await bed.open()
        await bed.disconnect("1")
        bed.b = Host(bed.b.own_did, bed.b.did, bed.b.settings)
        await bed.connect("2")

        with pytest.raises(ChannelClosed, match="any more"):
            await ours.wait_closed()
        again, theirs = await bed.open()
        await again.send("hello")
        assert "hello" == await theirs.receive()


async def test_close_while_there_is_no_connection() -> None:
    """What waits is brought across by the next connection, and then the end."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        await bed.disconnect("1")
        await ours.send("last")
        closing = asyncio.create_task(ours.close())
        await bed.connect("2")
        await closing

        assert ["last"] == [message async for message in theirs]


async def test_end_of_the_peer_ends_what_waits() -> None:
    """A writer that waits for room and a reader that waits for messages are told when nothing comes back."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        await bed.disconnect("1")
        while ours.try_send(bytes(16_000)):
            pass
        sending = asyncio.create_task(ours.send(bytes(16_000)))
        reading = asyncio.create_task(ours.receive())
        await asyncio.wait({sending, reading}, timeout=0)
        bed.a.channels.close("the peer left")

        for task in (sending, reading):
            with pytest.raises(ChannelClosed, match="the peer left"):
                await task
        assert ChannelState.SUSPENDED is theirs.state


async def _bytes_received(bed: Bed, session: str) -> int:
    (stats,) = bed.wires[session][1].sctp.transport._get_stats().values()
    return int(stats.bytesReceived)
