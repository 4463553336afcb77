import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.ids import RANDOM_BYTES, envelope_id
from aiconexus.sdk.mesh.order import HELD_MAX, HELD_MAX_BYTES, Order, session_after

NOW_MS = 1_800_000_000_000
CHANCE = bytes(RANDOM_BYTES)


@given(numbers=st.permutations(range(12)), again=st.lists(st.integers(0, 11)))
def test_frames_leave_in_order_and_once(numbers: list[int], again: list[int]) -> None:
    """Whichever way each of them came."""
    order = Order("s")
    found = [frame for number in (*numbers, *again) for frame in order.take(number, str(number))]

    assert list(map(str, range(12))) == found


def test_frame_far_ahead_is_not_kept() -> None:
    """Nobody can have us keep more than mail has under way."""
    order = Order("s")

    assert [] == order.take(HELD_MAX, "far")
    assert not order.is_begun
    assert ["0"] == order.take(0, "0")
    assert order.is_begun
    assert [] == order.take(-1, "before")


def test_large_frames_ahead_are_not_all_kept() -> None:
    """Those that would take too much room come again; the next one is always taken."""
    order, large = Order("s"), bytes(HELD_MAX_BYTES // 2)
    for number in (1, 2, 3):
        order.take(number, large)

    assert [b"0", large, large] == order.take(0, b"0")
    assert [large] == order.take(3, large)


@pytest.mark.parametrize(
    "former",
    ["", envelope_id(NOW_MS - 5, CHANCE), envelope_id(NOW_MS, b"\xff" * RANDOM_BYTES), envelope_id(NOW_MS + 9, CHANCE)],
    ids=["none", "older", "same time", "clock ahead"],
)
def test_next_session_counts_more(former: str) -> None:
    """Even than one of an agent whose clock is ahead of ours."""
    assert session_after(former, NOW_MS, CHANCE) > former


@pytest.mark.parametrize("former", ["zzz", "ffffffffffffffff"])
def test_strange_session_is_left_alone(former: str) -> None:
    """A name that leaves no room for a later one is its owner's trouble."""
    assert len(session_after(former, NOW_MS, CHANCE)) == 36
