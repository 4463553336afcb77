"""Bandwidth modes: the decider alone, the sender with channels that are none, and a real link that is too narrow."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libs.sdk.tests.direct.bed import Link, bedded

from aiconexus.sdk.direct.bandwidth import CONDUCTS, LOW_THRESHOLD, BandwidthMode, Sender, next_mode
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import DataChannelConfig, Priority

HIGH, MEDIUM, LOW = BandwidthMode.HIGH, BandwidthMode.MEDIUM, BandwidthMode.LOW
KIB = 1024


@pytest.mark.parametrize(
    ("mode", "kib", "expected"),
    [
        (HIGH, 512, HIGH),
        (HIGH, 513, MEDIUM),
        (HIGH, 1025, LOW),
        (MEDIUM, 1024, MEDIUM),
        (MEDIUM, 1025, LOW),
        (MEDIUM, 128, MEDIUM),
        (MEDIUM, 127, HIGH),
        (LOW, 256, LOW),
        (LOW, 255, MEDIUM),
        (LOW, 127, HIGH),
    ],
)
def test_thresholds_are_those_of_the_requirements(mode: BandwidthMode, kib: int, expected: BandwidthMode) -> None:
    """HIGH to MEDIUM above 512 KiB, to LOW above 1 MiB, back below 256 and 128 KiB."""
    assert expected is next_mode(mode, kib * KIB)


@given(mode=st.sampled_from(BandwidthMode), buffered=st.integers(0, 4 * 1024 * KIB))
def test_decision_is_stable(mode: BandwidthMode, buffered: int) -> None:
    """The same amount never leads on from where it has led to."""
    once = next_mode(mode, buffered)

    assert once is next_mode(once, buffered)


class Queue:
    """A channel that is none: what it transmits stays in its stack until the test takes it out."""

    def __init__(self, sender: Sender, priority: Priority) -> None:
        self.priority = priority
        self.stack_bytes = 0
        self.waiting: list[int] = []
        self.transmitted = 0
        self._sender = sender
        sender.add(self)

    @property
    def waiting_bytes(self) -> int:
        return sum(self.waiting)

    @property
    def has_sendable(self) -> bool:
        return bool(self.waiting)

    def put(self, size: int) -> None:
        self.waiting.append(size)
        self._sender.note_waiting(self, size)

    def transmit(self, bundle_bytes: int) -> int:
        size = self.waiting.pop(0)
        while self.waiting and size + self.waiting[0] <= bundle_bytes:
            size += self.waiting.pop(0)
        self.stack_bytes += size
        self.transmitted += size
        return size

    def drain(self) -> None:
        """The stack sends; it tells where less than the threshold is left."""
        told = self.stack_bytes > LOW_THRESHOLD
        self.stack_bytes = 0
        if told:
            self._sender.pump()


@given(
    puts=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 100_000)), max_size=200),
    drains=st.lists(st.integers(0, 4), max_size=60),
)
def test_nothing_ever_stands_still(puts: list[tuple[int, int]], drains: list[int]) -> None:
    """Whatever is put and whenever the stack drains: as long as it does, everything leaves."""
    sender = Sender(lambda mode: None)
    queues = [Queue(sender, Priority(index % 3)) for index in range(5)]
    for number, (index, size) in enumerate(puts):
        queues[index].put(size)
        if number < len(drains):
            queues[drains[number]].drain()
    for _ in range(500):
        for queue in queues:
            queue.drain()

    assert 0 == sum(queue.waiting_bytes for queue in queues)
    assert sum(size for _, size in puts) == sum(queue.transmitted for queue in queues)


def test_priorities_share_a_link_that_is_full() -> None:
    """In LOW each gets its share, none nothing; in HIGH all get the same."""
    modes: list[BandwidthMode] = []
    sender = Sender(modes.append)
    queues = [Queue(sender, priority) for priority in Priority]
    for _ in range(2000):
        for queue in queues:
            queue.put(1000)
    before = [queue.transmitted for queue in queues]
    for _ in range(20):
        for queue in queues:
            queue.drain()
    shares = [queue.transmitted - start for queue, start in zip(queues, before, strict=True)]

    assert [MEDIUM, LOW] == modes
    high, normal, low = shares
    assert 3 * normal < high < 5 * normal
    assert 0 < low < normal


def test_stack_holds_less_the_narrower_the_link() -> None:
    """What is in the stack cannot be overtaken, so it is little; and bundles grow."""
    conducts = [CONDUCTS[mode] for mode in (HIGH, MEDIUM, LOW)]

    assert sorted(conducts, key=lambda conduct: -conduct.stack_bytes) == conducts
    assert sorted(conducts, key=lambda conduct: conduct.bundle_bytes) == conducts
    assert all(min(conduct.shares) > 0 for conduct in conducts)


async def test_narrow_link_loses_nothing_and_serves_the_important_first() -> None:
    """Through a real link of 500 kB/s: the mode falls and rises again, order is kept, HIGH overtakes what waits."""
    async with bedded(link=Link(bytes_per_second=500_000)) as bed:
        bulk, bulk_end = await bed.open("bulk", DataChannelConfig(priority=Priority.LOW))
        urgent, urgent_end = await bed.open("urgent", DataChannelConfig(priority=Priority.HIGH))
        arrived: list[str] = []

        async def read(channel: Channel, count: int) -> None:
            for number in range(count):
                assert number == int(str(await channel.receive()).split()[0])
            arrived.append(channel.label)

        async with asyncio.TaskGroup() as group:
            for number in range(1500):
                assert bulk.try_send(f"{number} ".ljust(1200))
            assert bulk.buffered_amount > 1024 * KIB
            group.create_task(read(bulk_end, 1500))
            group.create_task(read(urgent_end, 100))
            for number in range(100):
                await urgent.send(f"{number} ".ljust(500))

        assert ["urgent", "bulk"] == arrived
        assert [MEDIUM, LOW, MEDIUM, HIGH] == bed.a.modes
