import pytest

from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.sdk.direct.offers import BURST, PER_SECOND, SENDERS_MAX, Budget


def admitted(budget: Budget, sender: str, now: float) -> bool:
    """Whether an offer passes."""
    try:
        budget.admit(sender, now)
    except RateLimited:
        return False
    return True


def test_so_many_offers_pass_at_once() -> None:
    """Ten, and no more."""
    budget = Budget()

    assert int(BURST) == sum(admitted(budget, "a", 0.0) for _ in range(30))


def test_time_gives_more() -> None:
    """One each two seconds after that."""
    budget = Budget()
    for _ in range(int(BURST)):
        budget.admit("a", 0.0)

    assert not admitted(budget, "a", 1.0)
    assert admitted(budget, "a", 1 / PER_SECOND + 0.01)


def test_senders_do_not_share() -> None:
    """One that makes too many leaves the others alone, and learns when to come back."""
    budget = Budget()
    for _ in range(int(BURST)):
        budget.admit("a", 0.0)

    with pytest.raises(RateLimited) as refused:
        budget.admit("a", 0.0)
    assert refused.value.retry_after_ms == 2000
    assert admitted(budget, "b", 0.0)


def test_senders_are_bounded() -> None:
    """However many come, so many are remembered."""
    budget = Budget()
    for number in range(SENDERS_MAX + 10):
        budget.admit(str(number), 0.0)

    assert SENDERS_MAX == len(budget._left)


def test_what_came_to_a_connection_costs_nothing() -> None:
    """Whoever connects for good may do so as often as it likes."""
    budget = Budget()
    for _ in range(100):
        budget.admit("a", 0.0)
        budget.give_back("a")
    budget.give_back("nobody")

    assert admitted(budget, "a", 0.0)
