from itertools import islice

import pytest

from aiconexus.sdk.direct.healing import LOST_SECONDS, pauses, seeking_pauses, starts_with_turn


@pytest.mark.parametrize(
    ("chance", "expected"),
    [
        pytest.param(0.5, [3, 6, 12, 24, 48, 60, 60], id="middle"),
        pytest.param(0.0, [2.4, 4.8, 9.6, 19.2, 38.4, 48, 48], id="shortest"),
        pytest.param(1.0, [3.6, 7.2, 14.4, 28.8, 57.6, 72, 72], id="longest"),
    ],
)
def test_pauses_double_up_to_a_minute_within_a_fifth(chance: float, expected: list[float]) -> None:
    """3, 6, 12 … 60 seconds, each up to 20 % shorter or longer."""
    waits = pauses(3.0, 60.0, lambda: chance, lost=False)

    assert list(islice(waits, 7)) == pytest.approx(expected)


def test_what_is_gone_is_tried_at_once() -> None:
    """Nobody waits for a connection that cannot come back by itself; then the usual pauses follow."""
    waits = pauses(3.0, 60.0, lambda: 0.5, lost=True)

    assert list(islice(waits, 3)) == pytest.approx([LOST_SECONDS * 1.5, 3, 6])


def test_each_third_attempt_starts_with_turn() -> None:
    """If direct ways fail twice, TURN is tried at once."""
    assert [3, 6, 9] == [attempt for attempt in range(1, 10) if starts_with_turn(attempt)]


def test_seeking_a_direct_way_becomes_rare() -> None:
    """What goes through TURN looks for a direct way less and less often, down to four times an hour."""
    seeking = list(islice(seeking_pauses(30, lambda: 0.5), 8))

    assert [30, 60, 120, 240, 480, 900, 900, 900] == seeking


def test_direct_way_need_not_be_sought() -> None:
    """With 0 it stays as it is."""
    assert [] == list(seeking_pauses(0, lambda: 0.5))
