"""Messages of channels that may lose some."""

import pytest

from aiconexus.protocol.direct_errors import FrameRefused
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.flow import UNIT_COST, WINDOW_BYTES
from aiconexus.sdk.direct.loose import LooseIn, LooseOut


class Clock:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_messages_leave_one_by_one() -> None:
    """A lost bundle would be several lost messages."""
    out = LooseOut(DataChannelConfig(max_retransmits=0), Clock())
    for message in (b"one", "two"):
        out.put(out.unit_of(message))

    assert 6 == out.waiting_bytes
    assert [b"one", "two"] == [out.take(16_000), out.take(16_000)]
    assert out.is_empty
    with pytest.raises(TypeError):
        out.unit_of(7)  # type: ignore[arg-type]


def test_message_that_waited_longer_than_its_lifetime_is_given_up() -> None:
    """The newer one goes; without a lifetime nothing is given up."""
    clock = Clock()
    out = LooseOut(DataChannelConfig(max_packet_life_time_ms=100), clock)
    patient = LooseOut(DataChannelConfig(max_retransmits=0), clock)
    for each in (out, patient):
        each.put("old")
    clock.now = 0.2
    out.put("new")

    assert out.has_sendable
    assert patient.has_sendable
    assert (1, "new") == (out.dropped, out.take())
    assert 1 == patient.clear()
    assert not patient.has_sendable


def test_slow_reader_loses_the_oldest() -> None:
    """What is kept is bounded."""
    into = LooseIn(is_reliable=False)
    size = WINDOW_BYTES // 4
    for number in range(6):
        into.feed(bytes([number]) * (size - UNIT_COST))

    assert 2 == into.dropped
    assert [2, 3, 4, 5] == [into.read()[0] for _ in range(4)]
    into.close()


def test_channel_that_must_not_lose_ends_instead() -> None:
    """Nobody loses in silence what both sides call reliable."""
    into = LooseIn(is_reliable=True)
    into.feed(bytes(WINDOW_BYTES - UNIT_COST))
    with pytest.raises(FrameRefused, match="room"):
        into.feed(b"x")
