"""What is told of real connections."""

import asyncio
import inspect

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import DataChunk
from libs.sdk.tests.direct.bed import SECONDS, Link, bedded

from aiconexus.sdk.direct import metrics, stack
from aiconexus.sdk.direct.channel_config import ChannelState
from aiconexus.sdk.direct.monitor import Monitor
from aiconexus.sdk.direct.quality import Rating
from aiconexus.sdk.direct.statistics import statistics_of, transport_of


def test_stack_has_what_is_counted() -> None:
    """A release of the stack that names these differently must not count nothing in silence."""
    source = inspect.getsource(RTCSctpTransport._transmit)

    assert 2 == source.count("self._flight_size_increase(chunk)")
    assert source.index("self._flight_size_increase(chunk)") < source.index("chunk._sent_count += 1")
    assert "_sent_count" in DataChunk.__annotations__


async def test_transport_tells_what_passed_through() -> None:
    """The chosen pair, bytes and packets both ways, and what was sent again under loss."""
    async with bedded(link=Link(loss=0.03, seed=3)) as bed:
        chunks = stack.count_chunks(bed.wires["1"][0].pc, metrics.traffic)
        before = metrics.traffic.chunks_resent
        ours, theirs = await bed.open()
        for number in range(200):
            await ours.send(str(number).ljust(1000))
        for _ in range(200):
            await theirs.receive()
        transport = transport_of(bed.wires["1"][0].pc, chunks)

        assert transport.chunks_sent > 200
        assert 0 < transport.chunks_resent == metrics.traffic.chunks_resent - before
        assert 0 < transport.loss < 0.5
        assert transport.bytes_sent > 200_000
        assert transport.packets_received > 100
        assert ("host", "connected") == (transport.local_type, transport.dtls_state)
        assert transport.remote_type in ("host", "prflx")
        assert transport.congestion_window_bytes > 0


async def test_channel_tells_what_passed_through() -> None:
    """Messages and bytes, both ways."""
    async with bedded() as bed:
        ours, theirs = await bed.open()
        await ours.send(b"12345")
        await theirs.receive()
        one, other = statistics_of(ours), statistics_of(theirs)

        assert (1, 5, 0) == (one.messages_sent, one.bytes_sent, one.messages_received)
        assert (1, 5, 0) == (other.messages_received, other.bytes_received, other.messages_sent)
        assert ("chat", ours.id, ChannelState.OPEN) == (one.label, one.id, one.state)
        assert one.age_seconds >= 0
        assert "chat" in repr(ours)


async def test_monitor_samples_and_rates() -> None:
    """Samples come by themselves, tell what passed since the last one, and a change of the rating is told."""
    ratings: asyncio.Queue[Rating | None] = asyncio.Queue()
    trips: list[tuple[float, float] | None] = [(0.01, 0.001)]
    async with bedded() as bed, asyncio.timeout(SECONDS):
        watching = Monitor(lambda: trips[0], ratings.put_nowait, sample_seconds=0.05)
        assert watching.transport is None
        watching.attach(bed.wires["1"][0])  # type: ignore[arg-type]  # it has what is looked at
        ours, _ = await bed.open()
        await ours.send(bytes(100_000))

        assert Rating.EXCELLENT is await ratings.get()
        trips[0] = None
        assert Rating.POOR is await ratings.get()
        assert watching.transport is not None
        assert sum(sample.bytes_sent for sample in watching.quality.samples) > 0
        watching.close()
        assert watching.transport is None
