"""Which of several is asked."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.sdk.holders import chosen, never_ran

BOB, RELAY = "did:key:zBob", "did:key:zRelay"


@given(loads=st.lists(st.integers(0, 5), min_size=1, max_size=8), draws=st.lists(st.floats(0, 0.999), min_size=2))
def test_the_less_busy_of_two_is_asked(loads: list[int], draws: list[float]) -> None:
    """Chance picks two, their load decides."""
    dids = [str(number) for number in range(len(loads))]
    picked = [int(draw * len(dids)) for draw in draws[:2]]
    which = chosen(dids, Counter(dict(zip(dids, loads, strict=True))), iter(draws).__next__)

    assert which in {dids[index] for index in picked}
    assert min(loads[index] for index in picked) == loads[int(which)]


@pytest.mark.parametrize(
    ("reporter", "problem", "expected"),
    [
        (RELAY, "unknown_agent", True),
        (RELAY, "refused", True),
        (RELAY, "mailbox_full", True),
        (RELAY, "expired", False),
        (RELAY, "unavailable", False),
        (BOB, "no_handler", True),
        (BOB, "expired", True),
        (BOB, "handler_failed", False),
        (BOB, "timeout", False),
        (BOB, "refused", False),
    ],
)
def test_only_proof_lets_another_one_be_asked(reporter: str, problem: str, expected: bool) -> None:
    """What may have begun is not begun elsewhere."""
    error = RemoteProblem(reporter, Error(code="X", message="", problem=problem))

    assert expected == never_ran(error, BOB)
