"""The checker itself: a run that kept its promises passes, and each broken promise is found and named."""

from pathlib import Path

import pytest
from tests.integration.checker import Event, Journal, Line, judge, read


def line(event: str, number: int = 1, **fields: object) -> Line:
    """One line about an envelope from ``a`` to ``b``, with the digest that belongs to its number."""
    known = {"sender": "a", "recipient": "b", "digest": f"digest {number}", **fields}
    return Line(event=Event(event), number=number, **known)  # type: ignore[arg-type]


GOOD = [
    *(line(event, 1) for event in ("attempted", "accepted", "handled", "processed")),
    *(line(event, 2) for event in ("attempted", "accepted", "handled", "processed")),
    *(line(event, 3) for event in ("attempted", "accepted", "expired")),
    *(line(event, 4) for event in ("attempted", "accepted")),
    line("dead", 4, problem="handler_failed"),
    line("attempted", 5),
    line("attempted", 6),
    *(line(event, 6) for event in ("handled", "processed")),
]
"""Two processed, one expired, one dead, one that nobody knows of, and one that was stored although nobody was told."""


def test_kept_promises_are_no_violations() -> None:
    """A run in which every accepted envelope has exactly one end passes, and its counts are right."""
    verdict = judge(GOOD)

    assert {} == verdict.violations
    assert (6, 4, 2, 3, 1, 1) == (
        verdict.attempted,
        verdict.accepted,
        verdict.indeterminate,
        verdict.handled,
        verdict.dead,
        verdict.expired,
    )


@pytest.mark.parametrize(
    ("broken", "lines"),
    [
        ("lost", [line("attempted", 9), line("accepted", 9)]),
        ("invented", [line("handled", 9)]),
        ("invented", [line("dead", 9)]),
        ("duplicated", [line("handled", 2)]),
        ("disordered", [line("attempted", 0), line("handled", 0)]),
        ("altered", [line("attempted", 9), line("handled", 9, digest="another")]),
        ("altered", [line("attempted", 9), line("handled", 9, recipient="c")]),
        ("unfounded", [line("attempted", 9), line("processed", 9)]),
        ("unended", [line("attempted", 9), line("accepted", 9), line("handled", 9)]),
        ("contradicted", [line("expired", 1)]),
        ("contradicted", [line("attempted", 9), line("handled", 9), line("expired", 9)]),
        ("contradicted", [line("attempted", 9), line("handled", 9), line("dead", 9, problem="handler_failed")]),
        ("contradicted", [line("dead", 3, problem="handler_interrupted")]),
    ],
)
def test_broken_promise_is_found(broken: str, lines: list[Line]) -> None:
    """Each kind of broken promise is named, with the envelope that it was broken for."""
    verdict = judge([*GOOD, *lines])

    assert broken in verdict.violations
    assert lines[-1].number in {number for _, number in verdict.violations[broken]}


def test_interrupted_handler_may_have_written_its_line() -> None:
    """A handler that SIGKILL cut off after its last act is dead for its sender, and nothing contradicts that."""
    lines = [line("attempted"), line("accepted"), line("handled"), line("dead", problem="handler_interrupted")]

    assert {} == judge(lines).violations


def test_order_counts_for_each_pair_alone() -> None:
    """Envelopes of different senders, and to different recipients, owe each other no order."""
    lines = [
        line("attempted", 2, recipient="b"),
        line("attempted", 1, recipient="c"),
        line("attempted", 1, sender="d"),
        line("handled", 2, recipient="b"),
        line("handled", 1, recipient="c"),
        line("handled", 1, sender="d"),
    ]

    assert {} == judge(lines).violations


def test_second_handling_is_a_duplicate_and_no_disorder() -> None:
    """What is handled again is counted once, as what it is."""
    lines = [line("attempted", 1), line("attempted", 2), line("handled", 1), line("handled", 2), line("handled", 1)]

    assert {"duplicated": (("a", 1),)} == judge(lines).violations


def test_longest_silence_is_measured() -> None:
    """The longest time without an acceptance, and without a handling, is part of the verdict."""
    times = (1.0, 2.0, 5.5)
    lines = [line(event, n, at=at) for n, at in enumerate(times) for event in ("attempted", "accepted", "handled")]
    verdict = judge(lines)

    assert (3.5, 3.5) == (verdict.producer_gap_seconds, verdict.consumer_gap_seconds)


def test_journal_survives_its_writer(tmp_path: Path) -> None:
    """A line is in the file when ``write`` returns, and a second writer goes on behind the first."""
    path = tmp_path / "journal"
    assert [] == read(path)
    Journal(path).write(GOOD[0])
    Journal(path).write(GOOD[1])

    assert GOOD[:2] == read(path)
