"""Ratings of connections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.direct.quality import (
    LIMITS,
    ORDER,
    RETURN_SHARE,
    WINDOW,
    Assessor,
    Rating,
    Sample,
    next_rating,
    rate,
)

EXCELLENT, GOOD, FAIR, POOR = Rating


def sample(rtt_ms: float | None = 10, jitter_ms: float = 1, sent: int = 100, resent: int = 0) -> Sample:
    """What two seconds may bring."""
    return Sample(
        at_ms=0,
        rtt_seconds=None if rtt_ms is None else rtt_ms / 1000,
        jitter_seconds=jitter_ms / 1000,
        chunks_sent=sent,
        chunks_resent=resent,
        bytes_sent=0,
        bytes_received=0,
        road="direct",
    )


@pytest.mark.parametrize(
    ("rtt_ms", "jitter_ms", "percent", "expected"),
    [
        (50, 10, 1, EXCELLENT),
        (51, 10, 1, GOOD),
        (50, 11, 1, GOOD),
        (50, 10, 1.1, GOOD),
        (100, 20, 3, GOOD),
        (101, 0, 0, FAIR),
        (0, 21, 0, FAIR),
        (0, 0, 3.1, FAIR),
        (150, 30, 5, FAIR),
        (151, 0, 0, POOR),
        (0, 31, 0, POOR),
        (0, 0, 5.1, POOR),
    ],
)
def test_limits_are_those_of_the_requirements(
    rtt_ms: float, jitter_ms: float, percent: float, expected: Rating
) -> None:
    """Excellent to 50 ms, 10 ms, 1 %; good to 100, 20, 3; fair to 150, 30, 5; poor above any of them."""
    assert expected is rate(rtt_ms / 1000, jitter_ms / 1000, percent / 100)


def test_rating_falls_at_once_and_rises_when_values_are_well_inside() -> None:
    """Values that waver about a limit do not make the rating waver."""
    assert GOOD is next_rating(EXCELLENT, 0.051, 0, 0)
    assert GOOD is next_rating(GOOD, 0.049, 0, 0)
    assert EXCELLENT is next_rating(GOOD, 0.044, 0, 0)
    assert EXCELLENT is next_rating(EXCELLENT, 0.049, 0, 0)
    assert POOR is next_rating(EXCELLENT, 1.0, 0, 0)
    assert EXCELLENT is next_rating(POOR, 0.01, 0, 0)
    assert FAIR is next_rating(POOR, 0.095, 0, 0)


VALUES = st.tuples(st.floats(0, 0.3), st.floats(0, 0.06), st.floats(0, 0.1))


@given(before=st.sampled_from(ORDER), values=VALUES)
def test_rating_never_promises_what_does_not_hold(before: Rating, values: tuple[float, float, float]) -> None:
    """It is never better than the values are, and settles at once."""
    after = next_rating(before, *values)

    assert ORDER.index(after) >= ORDER.index(rate(*values))
    assert after is next_rating(after, *values)


@pytest.mark.parametrize("rating", [EXCELLENT, GOOD, FAIR])
def test_values_between_the_two_limits_keep_a_rating(rating: Rating) -> None:
    """Between a share of a limit and the limit, whatever was stays."""
    rtt = LIMITS[rating].rtt_seconds * (1 + RETURN_SHARE) / 2
    worse = ORDER[ORDER.index(rating) + 1]

    assert rating is next_rating(rating, rtt, 0, 0)
    assert worse is next_rating(worse, rtt, 0, 0)


def test_window_is_ten_samples() -> None:
    """The mean of ten round trips and the loss of ten samples count; what is older does not."""
    assessor = Assessor()
    for _ in range(WINDOW):
        assessor.add(sample(rtt_ms=200, resent=10))

    assert POOR is assessor.quality.rating
    for _ in range(WINDOW - 1):
        assessor.add(sample(rtt_ms=10))
    assert 0.029 == pytest.approx(assessor.quality.rtt_seconds)
    assert 0.01 == pytest.approx(assessor.quality.loss)

    quality = assessor.add(sample(rtt_ms=10))
    assert (EXCELLENT, WINDOW) == (quality.rating, len(quality.samples))


def test_silence_is_poor() -> None:
    """Two samples without an answered heartbeat are enough; one is not, and before the first answer nothing is said."""
    assessor = Assessor()

    assert assessor.add(sample(rtt_ms=None)).rating is None
    assert EXCELLENT is assessor.add(sample()).rating
    assert EXCELLENT is assessor.add(sample(rtt_ms=None)).rating
    assert POOR is assessor.add(sample(rtt_ms=None)).rating
    assert EXCELLENT is assessor.add(sample()).rating


def test_nothing_sent_is_nothing_lost() -> None:
    """An idle connection has no loss."""
    assert 0.0 == Assessor().add(sample(sent=0)).loss
