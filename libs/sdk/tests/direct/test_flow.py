"""Units between two ends: pure, with a connection that breaks wherever hypothesis likes."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiconexus.protocol.direct_errors import FrameRefused, MessageTooLarge
from aiconexus.sdk.direct.flow import (
    ACK_BODY,
    BUNDLE,
    CLOSE,
    KINDS,
    LENGTH,
    NUMBER,
    PART,
    TEXT,
    UNIT_COST,
    WINDOW_BYTES,
    Outflow,
)
from aiconexus.sdk.direct.inflow import UNREAD_MAX_BYTES, Inflow
from aiconexus.sdk.direct.parts import Budget, abandon, cut


def inflow(*, is_numbered: bool = False) -> Inflow:
    """A receiver."""
    return Inflow(Budget(1024 * 1024), is_numbered=is_numbered)


def feed(into: Inflow, frames: list[bytes]) -> None:
    """Give it frames."""
    for frame in frames:
        into.feed(frame)


MESSAGES = st.lists(st.binary(max_size=300) | st.text(max_size=100), max_size=60)
STEPS = st.lists(st.sampled_from(["send", "bundle", "deliver", "read", "break"]), max_size=200)


@settings(max_examples=200)
@example(messages=[b"", b""], steps=["send", "send", "deliver", "read"], is_numbered=True, chance=random.Random(0))
@given(messages=MESSAGES, steps=STEPS, is_numbered=st.booleans(), chance=st.randoms(use_true_random=False))
def test_nothing_is_lost_or_doubled_wherever_it_breaks(
    messages: list[bytes | str], steps: list[str], is_numbered: bool, chance: random.Random
) -> None:
    """Frames may be under way when the connection breaks, bundled or not; what is read is what was sent, in order."""
    out, into = Outflow(is_numbered=is_numbered), inflow(is_numbered=is_numbered)
    on_the_way: list[bytes] = []
    read: list[bytes | str] = []
    for message in messages:
        out.put(out.unit_of(message))
    for step in [*steps, "break", *["send", "deliver", "read"] * (len(messages) + 1)]:
        if step in ("send", "bundle") and out.has_sendable:
            on_the_way.append(out.take(1000 if step == "bundle" else 0))
        elif step == "deliver" and on_the_way:
            position = chance.randrange(len(on_the_way)) if is_numbered else 0
            into.feed(on_the_way.pop(position))
        elif step == "read" and into.messages:
            read.append(into.read())
            if (ack := into.take_ack()) is not None:
                out.note_ack(*ACK_BODY.unpack_from(ack, 1))
        elif step == "break":
            on_the_way.clear()
            into.start(out.rewind(into.received, into.consumed))

    if is_numbered:
        assert sorted(map(repr, messages)) == sorted(map(repr, read))
    else:
        assert messages == read


def test_sender_stops_where_the_receiver_has_no_room() -> None:
    """The window closes after about 1 MiB, and opens as messages are read; the receiver always has room for it."""
    out, into = Outflow(), inflow()
    for _ in range(3000):
        out.put(out.unit_of(bytes(1000)))
    read = 0
    while out.waiting or into.messages:
        while out.has_sendable:
            into.feed(out.take(16 * 1024))
        assert into._unread <= UNREAD_MAX_BYTES
        assert out.room > -UNIT_COST - 16 * 1024
        into.read()
        read += 1
        if (ack := into.take_ack()) is not None:
            out.note_ack(*ACK_BODY.unpack_from(ack, 1))

    assert 3000 == read
    assert 3000 * (1001 + UNIT_COST) == into.consumed


def test_flood_is_refused() -> None:
    """A sender that does not wait is not believed."""
    into = inflow()
    with pytest.raises(FrameRefused, match="room"):
        feed(into, [b"\0" + bytes(16_000)] * (WINDOW_BYTES // 16_000 + 10))


ORDERED = {
    "unknown kind": [b"\x09x"],
    "bundle in a bundle": [KINDS[BUNDLE] + LENGTH.pack(1) + KINDS[BUNDLE]],
    "bundle without a length": [KINDS[BUNDLE] + b"\0\0"],
    "bundle that breaks off": [KINDS[BUNDLE] + LENGTH.pack(9) + b"\0"],
    "empty unit": [KINDS[BUNDLE] + LENGTH.pack(0)],
    "no text": [KINDS[TEXT] + b"\xff"],
    "no part": [KINDS[PART] + b"x"],
    "behind the end": [KINDS[CLOSE], b"\0x"],
}


@pytest.mark.parametrize("frames", ORDERED.values(), ids=ORDERED)
def test_nonsense_is_refused(frames: list[bytes]) -> None:
    """Only what both sides agreed on is taken."""
    with pytest.raises(FrameRefused):
        feed(inflow(), frames)


def test_nonsense_in_an_unordered_channel_is_refused() -> None:
    """Likewise; and no unit that would have to be remembered for ever."""
    for frame in (b"\0\0", b"\0" + NUMBER.pack(2**40) + b"x"):
        with pytest.raises(FrameRefused):
            inflow(is_numbered=True).feed(frame)


def test_too_long_message_is_refused_at_its_first_part() -> None:
    """Before any memory is taken for it."""
    with pytest.raises(MessageTooLarge):
        inflow().feed(KINDS[PART] + next(cut(bytes(1024 * 1024 + 1), 0)))


def test_missing_units_are_noticed() -> None:
    """A sender cannot start behind what we have."""
    into = inflow()
    into.feed(b"\0x")
    into.start(1)
    with pytest.raises(FrameRefused, match="missing"):
        into.start(2)


def test_receiver_that_lies_is_refused() -> None:
    """Nobody has more than was sent."""
    out = Outflow()
    out.put(out.unit_of(b"x"))
    out.take()
    for received, consumed in ((2, 0), (1, 10_000)):
        with pytest.raises(FrameRefused):
            out.note_ack(received, consumed)


def test_late_word_of_a_receiver_does_no_harm() -> None:
    """An acknowledgement that overtook a Resume said more; nothing is asked for that is gone."""
    out = Outflow()
    for _ in range(3):
        out.put(out.unit_of(b"x"))
        out.take()
    out.note_ack(2, 0)

    assert 2 == out.rewind(1, 0)
    assert 1 == len(out.waiting)


def test_end_of_an_unordered_channel_waits_for_what_was_sent_before() -> None:
    """It may arrive first."""
    into = inflow(is_numbered=True)
    into.feed(KINDS[CLOSE] + NUMBER.pack(1))

    assert not into.is_ended
    into.feed(b"\0" + NUMBER.pack(0) + b"x")
    assert into.is_ended
    assert b"x" == into.read()


def test_abandoned_message_frees_its_room() -> None:
    """Its parts count as read, and the sender hears so at once."""
    into = inflow()
    part = next(cut(bytes(100_000), 4))
    into.feed(KINDS[PART] + part)
    into.feed(KINDS[PART] + abandon(4))

    assert 0 == into._unread
    assert into.take_ack() is not None


def test_unread_long_message_gives_its_room_back_when_the_channel_closes() -> None:
    """It can be read all the same."""
    budget = Budget(1024 * 1024)
    into, message = Inflow(budget), bytes(600_000)
    for part in cut(message, 0):
        into.feed(KINDS[PART] + part)

    assert len(message) == budget.used_bytes
    into.close()
    assert 0 == budget.used_bytes
    assert message == into.read()
    assert 0 == budget.used_bytes
