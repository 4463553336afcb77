"""Messages in parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.direct_errors import FrameRefused, MessageTooLarge
from aiconexus.sdk.direct.parts import (
    LONG_BYTES,
    PART_BYTES,
    PART_MAX_BYTES,
    Assembler,
    Budget,
    abandon,
    count_of,
    cut,
    head_of,
)

LIMIT = 4 * LONG_BYTES


def put_together(parts: list[bytes], budget: Budget | None = None) -> list[bytes | str]:
    """What comes out of some parts."""
    assembler = Assembler(budget or Budget(LIMIT))
    wholes = [assembler.add(head_of(part), part) for part in parts]
    return [whole for whole in wholes if whole is not None]


@given(size=st.integers(0, 5 * PART_BYTES), seed=st.randoms(use_true_random=False))
def test_parts_in_any_order_make_the_message(size: int, seed: "st.randoms") -> None:  # type: ignore[valid-type]
    """Whatever the size and the order of arrival, what was cut is what comes out, once."""
    data = bytes(seed.randbytes(size))  # type: ignore[attr-defined]
    parts = list(cut(data, 7))
    seed.shuffle(parts)  # type: ignore[attr-defined]

    assert count_of(size) == len(parts)
    assert max(map(len, parts)) <= PART_MAX_BYTES
    assert [data] == put_together(parts)


@given(st.text(max_size=3000), st.integers(1, 30))
def test_text_stays_text(text: str, times: int) -> None:
    """A text comes out as one, wherever the cuts fall."""
    assert [text * times] == put_together(list(cut((text * times).encode(), 0, is_text=True)))


@given(position=st.integers(0, 3 * PART_BYTES - 1), bit=st.integers(0, 7))
def test_flipped_bit_is_found(position: int, bit: int) -> None:
    """A message that is not the one that was sent never comes out."""
    parts = list(cut(bytes(3 * PART_BYTES), 0))
    index, offset = divmod(position, PART_BYTES)
    broken = bytearray(parts[index])
    broken[17 + offset] ^= 1 << bit
    parts[index] = bytes(broken)

    with pytest.raises(FrameRefused):
        put_together(parts)


def test_messages_do_not_mix() -> None:
    """Parts of several messages may alternate."""
    one, other = bytes(150_000), b"x" * 190_000
    pairs = zip(cut(one, 1), [*cut(other, 2)][:3], strict=True)
    parts = [part for pair in pairs for part in pair] + [*cut(other, 2)][3:]

    assert [one, other] == put_together(parts)


FIRST, SECOND = cut(bytes(70_000), 1)
REFUSED = {
    "no head": b"\0",
    "other size": next(cut(bytes(70_001), 1)),
    "text": next(cut(bytes(70_000), 1, is_text=True)),
    "twice": FIRST,
    "wrong length": SECOND + b"x",
    "behind the end": list(cut(bytes(230_000), 1))[3][:9] + SECOND[9:],
}


@pytest.mark.parametrize("part", REFUSED.values(), ids=REFUSED)
def test_part_that_does_not_fit_is_refused(part: bytes) -> None:
    """Nothing that contradicts itself or what came before is taken."""
    with pytest.raises(FrameRefused):
        put_together([FIRST, part])


def test_text_that_is_none_is_refused() -> None:
    """The bytes of a text have to be UTF-8."""
    with pytest.raises(FrameRefused, match="text"):
        put_together(list(cut(b"\xff", 1, is_text=True)))


def test_room_for_long_messages_is_bounded() -> None:
    """A message above the limit is refused at its first part, and so is a second one for which no room is left."""
    with pytest.raises(MessageTooLarge):
        put_together([next(cut(bytes(LIMIT + 1), 1))])
    with pytest.raises(FrameRefused, match="several"):
        put_together([next(cut(bytes(LIMIT), 1)), next(cut(bytes(LONG_BYTES + 1), 2))])


def test_abandoned_message_gives_its_room_back() -> None:
    """Whoever breaks off says so; a channel that closes forgets all."""
    budget = Budget(LIMIT)
    assembler = Assembler(budget)
    first = next(cut(bytes(LIMIT), 1))
    assembler.add(head_of(first), first)

    assert LIMIT == budget.used_bytes
    head = head_of(abandon(1))
    assert head.is_abandoned
    assembler.abandon(head.number)
    assert 0 == budget.used_bytes

    assembler.add(head_of(first), first)
    assembler.close()
    assembler.abandon(1)
    assert 0 == budget.used_bytes
