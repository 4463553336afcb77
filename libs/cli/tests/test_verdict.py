import pytest

from aiconexus.cli.demo.notes import Event, Note
from aiconexus.cli.demo.verdict import Verdict, judge


def note(event: Event, id_: str) -> Note:
    """A line about an envelope."""
    return Note(event=event, id=id_)


def run(*, sender: str, recipient: str) -> Verdict:
    """Judge what two agents wrote, in words such as ``stored:1``."""

    def notes(text: str) -> list[Note]:
        return [note(Event(event), id_) for event, _, id_ in (word.partition(":") for word in text.split())]

    return judge({"sender": notes(sender), "recipient": notes(recipient)})


def counts(verdict: Verdict) -> tuple[int, ...]:
    """All figures of a verdict."""
    return (
        *(verdict.accepted, verdict.processed, verdict.expired, verdict.dead),
        *(verdict.lost, verdict.duplicated, verdict.unended),
    )


def test_each_end_counts_once() -> None:
    """Processed, expired and dead are the three good ends, and together they are what was accepted."""
    verdict = run(
        sender="stored:1 delivered:1 processed:1 processed:1 stored:2 expired:2 stored:3 dead_lettered:3",
        recipient="handled:1 handled:3",
    )

    assert ((3, 1, 1, 1, 0, 0, 0), True) == (counts(verdict), verdict.is_clean)


@pytest.mark.parametrize(
    ("sender", "recipient", "expected"),
    [
        pytest.param("stored:1", "", (1, 0, 0, 0, 1, 0, 1), id="vanished"),
        pytest.param("stored:1 processed:1", "", (1, 1, 0, 0, 1, 0, 0), id="a receipt without a handling"),
        pytest.param("stored:1", "handled:1", (1, 0, 0, 0, 0, 0, 1), id="handled but not told"),
        pytest.param("stored:1 processed:1", "handled:1 handled:1", (1, 1, 0, 0, 0, 1, 0), id="handled twice"),
        pytest.param("stored:1 processed:1 expired:1", "handled:1", (1, 1, 1, 0, 0, 0, 0), id="two ends"),
    ],
)
def test_a_broken_promise_is_seen(sender: str, recipient: str, expected: tuple[int, ...]) -> None:
    """Whatever is lost, doubled or left open is counted, and the run is not clean."""
    verdict = run(sender=sender, recipient=recipient)

    assert (expected, False) == (counts(verdict), verdict.is_clean)


def test_what_was_never_accepted_does_not_count() -> None:
    """An envelope that the relay refused was promised nothing."""
    assert (0, 0, 0, 0, 0, 0, 0) == counts(run(sender="dead_lettered:1", recipient=""))
