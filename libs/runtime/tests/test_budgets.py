from contextlib import suppress
from time import thread_time

import pytest

from aiconexus.runtime.budgets import DEAR_BYTES, DEAR_SECONDS, READING_SECONDS, Budgets


def taken(budgets: Budgets, sender: str, now: float, count: int) -> list[int | None]:
    """What a number of requests at the same time are told."""
    return [budgets.take(sender, now) for _ in range(count)]


def test_a_burst_passes_and_the_next_waits() -> None:
    """A rested sender may use its whole burst at once, then it learns when to come again."""
    budgets = Budgets(10, 3, senders_max=10)

    assert taken(budgets, "ann", 1000.0, 4) == [0, 0, 0, 100]


def test_the_rate_is_kept_in_the_long_run() -> None:
    """Whoever asks at the rate is never refused, however long."""
    budgets = Budgets(10, 1, senders_max=10)

    assert {0} == {budgets.take("ann", 1000.0 + number / 10) for number in range(10_000)}


def test_waiting_as_told_is_enough() -> None:
    """The time that a refusal names is the time after which the next request passes."""
    budgets = Budgets(10, 2, senders_max=10)
    wait_ms = taken(budgets, "ann", 1000.0, 3)[-1]
    assert wait_ms

    assert budgets.take("ann", 1000.0 + wait_ms / 1000) != 0
    assert budgets.take("bob", 1000.0) == 0
    assert budgets.take("ann", 1000.0 + wait_ms / 1000 + 0.2) == 0


def test_who_goes_on_is_ignored() -> None:
    """Refusals are charged too: after a second burst of them there is no answer, and it is not charged any more."""
    budgets = Budgets(10, 2, senders_max=10)

    assert taken(budgets, "ann", 1000.0, 7) == [0, 0, 100, 200, None, None, None]
    assert budgets.take("ann", 1000.5) == 0


def test_one_sender_does_not_spend_for_another() -> None:
    """Each sender has a budget of its own."""
    budgets = Budgets(1, 1, senders_max=10)
    taken(budgets, "ann", 1000.0, 5)

    assert budgets.take("bob", 1000.0) == 0


def test_the_quietest_sender_is_forgotten_first() -> None:
    """Memory is bounded, and a flood of names does not free whoever goes on asking."""
    budgets = Budgets(1, 1, senders_max=2)
    taken(budgets, "ann", 1000.0, 1)
    taken(budgets, "bob", 1000.0, 1)
    taken(budgets, "ann", 1000.0, 1)
    taken(budgets, "carl", 1000.0, 1)

    assert [budgets.take("bob", 1000.0), budgets.take("carl", 1000.0) != 0] == [0, True]


@pytest.mark.parametrize("rest", [10, 100_000])
def test_rest_does_not_add_up_beyond_the_burst(rest: float) -> None:
    """However long the rest, the burst is the burst."""
    budgets = Budgets(10, 3, senders_max=10)
    taken(budgets, "ann", 1000.0, 3)

    assert taken(budgets, "ann", 1000.0 + rest, 4).count(0) == 3


@pytest.mark.parametrize(
    ("seconds", "size", "left"),
    [
        pytest.param(4 * READING_SECONDS, DEAR_BYTES, 0, id="dear"),
        pytest.param(READING_SECONDS, 64 * 1024, 3, id="quick"),
        pytest.param(1.0, DEAR_BYTES - 1, 3, id="small"),
    ],
)
def test_what_is_dear_to_read_counts_for_several(seconds: float, size: int, left: int) -> None:
    """Whoever makes us read for long asks less often; others do not, and what is small or quick costs nothing more."""
    budgets = Budgets(10, 4, senders_max=10)
    assert 0 == budgets.take("ann", 1000.0)
    budgets.spend("ann", seconds, size)
    budgets.spend("nobody", seconds, size)

    assert left == taken(budgets, "ann", 1000.0, 4).count(0)
    assert [0] * 4 == taken(budgets, "bob", 1000.0, 4)


def test_what_cannot_be_read_costs_what_it_took() -> None:
    """The time is taken here, and a request that turns out to be none is charged like any other."""
    budgets = Budgets(10, 5, senders_max=10)
    assert 0 == budgets.take("ann", 1000.0)
    with suppress(ValueError), budgets.reading("ann", DEAR_BYTES):
        until = thread_time() + 2 * DEAR_SECONDS
        while thread_time() < until:
            pass
        raise ValueError

    assert 0 == taken(budgets, "ann", 1000.0, 4).count(0)


def test_after_something_dear_the_next_one_is_told_when_to_come() -> None:
    """Only who goes on after that is ignored."""
    budgets = Budgets(10, 4, senders_max=10)
    budgets.take("ann", 1000.0)
    budgets.spend("ann", 3600.0, DEAR_BYTES)

    assert [400, None] == taken(budgets, "ann", 1000.0, 2)
    assert 0 == budgets.take("ann", 1001.0)
