"""The cursor over a mailbox."""

from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.progress import Progress


def test_entry_without_a_gap_follows() -> None:
    """A copy whose predecessor was read can be read."""
    progress = Progress(5)

    assert progress.follows(5)
    assert progress.follows(0)
    assert not progress.follows(6)


def test_only_an_unbroken_row_is_acked() -> None:
    """An entry that is still open holds back all behind it."""
    progress = Progress()
    first, second, third = (progress.take(sequence) for sequence in (3, 7, 8))
    progress.finish(second)
    held = progress.upto
    progress.finish(first)
    freed = progress.upto
    progress.finish(third)

    assert [0, 7, 8] == [held, freed, progress.upto]
    assert progress.open == 0


def test_unacked_counts_from_what_the_relay_knows() -> None:
    """Nothing is left to say once the relay was told."""
    progress = Progress(2)
    progress.finish(progress.take(4))
    before = progress.unacked
    progress.acked = progress.upto

    assert (before, progress.unacked) == (2, 0)


def test_rewound_cursor_ignores_old_tickets() -> None:
    """What was read from a mailbox that is no more does not count for the new one."""
    progress = Progress(9)
    old = progress.take(10)
    progress.rewind()
    new = progress.take(1)
    progress.finish(old)
    between = progress.upto
    progress.finish(new)

    assert (between, progress.upto) == (0, 1)


@given(st.permutations(range(8)), st.integers(0, 8))
def test_ack_never_passes_an_open_entry(order: list[int], count: int) -> None:
    """Whatever the order in which entries are done, the first open one is not acknowledged."""
    progress = Progress()
    tickets = [progress.take(10 + number) for number in range(8)]
    for number in order[:count]:
        progress.finish(tickets[number])
    still_open = [ticket.sequence for ticket in tickets if not ticket.is_done]

    assert progress.upto == (min(still_open) - 1 if still_open else 17) or (progress.upto == 0 and 10 in still_open)
