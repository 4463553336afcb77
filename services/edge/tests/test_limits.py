"""Budgets and strikes, at times that the test chooses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.edge.limits import Buckets, Strikes, TokenBucket


def test_burst_passes_and_then_no_more() -> None:
    """A full bucket gives its burst at once, then says how long the next token takes."""
    bucket = TokenBucket(per_second=2.0, burst=3, now=100.0)

    assert [0, 0, 0, 0.5] == [bucket.take(100.0) for _ in range(4)]


def test_tokens_come_back_with_time() -> None:
    """After the time that was named there is one token, and not two."""
    bucket = TokenBucket(per_second=2.0, burst=1, now=0.0)
    bucket.take(0.0)

    assert (0, 0.5) == (bucket.take(0.5), bucket.take(0.5))


def test_bucket_holds_its_burst_at_most() -> None:
    """A long silence saves nothing up."""
    bucket = TokenBucket(per_second=1.0, burst=2, now=0.0)

    assert [True, True, False] == [bucket.take(1e6) == 0 for _ in range(3)]


@given(st.lists(st.floats(min_value=0, max_value=2), min_size=1, max_size=200))
def test_rate_is_never_exceeded(pauses: list[float]) -> None:
    """Whatever the pattern, no more passes than burst plus rate times time."""
    bucket = TokenBucket(per_second=3.0, burst=5, now=0.0)
    now, passed = 0.0, 0
    for pause in pauses:
        now += pause
        passed += bucket.take(now) == 0

    assert passed <= 5 + 3.0 * now + 1e-6


def test_bucket_of_a_key_stays_the_same() -> None:
    """Whoever comes back finds the bucket as it was left."""
    buckets: Buckets[str] = Buckets(1.0, 1, 10)

    assert (0, 1.0) == (buckets.of("a", 0.0).take(0.0), buckets.of("a", 0.0).take(0.0))


def test_only_so_many_buckets_are_kept() -> None:
    """The one that was quiet longest is forgotten."""
    buckets: Buckets[str] = Buckets(1.0, 1, 2)
    first = buckets.of("a", 0.0)
    buckets.of("b", 0.0)
    buckets.of("a", 0.0)
    buckets.of("c", 0.0)

    assert 2 == len(buckets)
    assert first is buckets.of("a", 0.0)


@pytest.mark.parametrize(
    ("times", "last"),
    [([0, 1, 2], True), ([0, 1, 11], False), ([0, 10], False), ([0, 9, 9.5], True)],
    ids=["too many", "one forgotten", "few", "within the window"],
)
def test_strikes_count_within_a_window(times: list[float], last: bool) -> None:
    """Two are forgiven in ten seconds, a third is one too many."""
    strikes = Strikes(most=2, window_seconds=10)

    assert last is [strikes.strike(now) for now in times][-1]
