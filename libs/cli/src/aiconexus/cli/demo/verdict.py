"""Decide from the notes of all agents what became of every envelope."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from aiconexus.cli.demo.notes import ENDS, Event, Note


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    The count of one run.

    ``lost`` were accepted, and nobody handled them nor was their sender told why not. ``duplicated`` counts handlings
    beyond the first of each envelope. ``unended`` were accepted, and their sender was told of no end.
    """

    accepted: int
    processed: int
    expired: int
    dead: int
    lost: int
    duplicated: int
    unended: int

    @property
    def is_clean(self) -> bool:
        """Whether every envelope that was accepted came to exactly one end."""
        return (
            self.lost == self.duplicated == self.unended == 0
            and self.accepted == self.processed + self.expired + self.dead
        )


def judge(notes: Mapping[str, Sequence[Note]]) -> Verdict:
    """
    Count.

    Args:
        notes: Of each agent, all that it wrote.

    """
    everything = [note for written in notes.values() for note in written]
    accepted = {note.id for note in everything if note.event is Event.STORED}
    handled = Counter((name, note.id) for name, written in notes.items() for note in _of(written, Event.HANDLED))
    ran = {id_ for _, id_ in handled}
    processed, expired, dead = ({note.id for note in _of(everything, end)} & accepted for end in ENDS)
    # A receipt without a handling is no proof: what it speaks of is lost.
    kept = (processed & ran) | expired | dead
    return Verdict(
        accepted=len(accepted),
        processed=len(processed),
        expired=len(expired),
        dead=len(dead),
        lost=len(accepted - kept - ran),
        duplicated=sum(times - 1 for times in handled.values()),
        unended=len(accepted - processed - expired - dead),
    )


def _of(notes: Iterable[Note], event: Event) -> Iterable[Note]:
    return (note for note in notes if note.event is event)
