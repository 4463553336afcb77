"""
The total-queue checker: what must be true of a run, decided from what the agents of the test wrote down themselves.

Every agent process of a test appends lines to a journal of its own, before it hands control back to what is tested.
Nothing here is taken from the system under test: an envelope is known by the sender's label and a number that the test
gave it, not by the id that travels.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec


class Event(StrEnum):
    """What can happen to an envelope, as the test's own processes see it."""

    ATTEMPTED = "attempted"
    QUEUED = "queued"
    ACCEPTED = "accepted"
    HANDLED = "handled"
    PROCESSED = "processed"
    DEAD = "dead"
    EXPIRED = "expired"


ENDS = frozenset({Event.PROCESSED, Event.DEAD, Event.EXPIRED})
"""What a sender is told in the end: exactly one of them for each envelope that was accepted."""

INTERRUPTED = "handler_interrupted"
"""The one problem of an envelope that was handled and is dead nevertheless: its handler was cut off near its end."""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One line of a journal.

    ``sender`` and ``number`` name the envelope, ``recipient`` whom it was for, ``digest`` is the SHA-256 of what it
    said, as the writer of the line saw it. ``id`` is what the system called it, so that a sender can follow it through
    its own death. ``at`` is in seconds of the machine's monotonic clock.
    """

    event: Event
    sender: str
    number: int
    recipient: str = ""
    digest: str = ""
    problem: str = ""
    id: str = ""
    at: float = 0.0


Key = tuple[str, int]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the journals of one run say together.

    The first seven are counts, the last two the longest silence in seconds; everything in between names envelopes of
    which a promise was broken.
    """

    attempted: int
    accepted: int
    indeterminate: int
    handled: int
    processed: int
    dead: int
    expired: int

    lost: tuple[Key, ...]
    """Accepted, and nobody handled it, nor was its sender told why not."""
    invented: tuple[Key, ...]
    """Handled or ended, but never sent."""
    duplicated: tuple[Key, ...]
    """Handled more than once."""
    disordered: tuple[Key, ...]
    """Handled after a later one of the same sender."""
    altered: tuple[Key, ...]
    """Handled with another content, or by another recipient, than it was sent with."""
    unfounded: tuple[Key, ...]
    """A receipt says that it was processed, and no handler ran."""
    unended: tuple[Key, ...]
    """Accepted, and its sender was not told of an end."""
    contradicted: tuple[Key, ...]
    """Its sender was told of two different ends, or of a failure although it was handled."""

    producer_gap_seconds: float
    consumer_gap_seconds: float

    @property
    def violations(self) -> dict[str, tuple[Key, ...]]:
        """The broken promises, by name; empty if all were kept."""
        names = ("lost", "invented", "duplicated", "disordered", "altered", "unfounded", "unended", "contradicted")
        return {name: keys for name in names if (keys := getattr(self, name))}


class Journal:
    """
    The append-only file of one process.

    Args:
        path: Made if it lacks. What a line says has reached the kernel when ``write`` returns, so SIGKILL keeps it.

    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, line: Line) -> None:
        """Append one line with one system call."""
        os.write(self._descriptor, msgspec.json.encode(line) + b"\n")


def read(path: Path) -> list[Line]:
    """All whole lines of a journal, for one may be in the making; none if there is no such file yet."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]


def judge(lines: Sequence[Line]) -> Verdict:
    """
    Decide which promises a run kept.

    Args:
        lines: Of all journals; those of one process in the order in which it wrote them.

    """
    sent = {_key(line): line for line in _of(lines, Event.ATTEMPTED)}
    accepted = {_key(line) for line in _of(lines, Event.ACCEPTED)}
    handled = list(_of(lines, Event.HANDLED))
    ran = Counter(_key(line) for line in handled)
    ends = _ends(lines)
    dead = {key for key, found in ends.items() if Event.DEAD in found}
    expired = {key for key, found in ends.items() if Event.EXPIRED in found}
    return Verdict(
        attempted=len(sent),
        accepted=len(accepted),
        indeterminate=len(sent.keys() - accepted),
        handled=len(ran),
        processed=sum(Event.PROCESSED in found for found in ends.values()),
        dead=len(dead),
        expired=len(expired),
        lost=_sorted(accepted - ran.keys() - dead - expired),
        invented=_sorted((ran.keys() | ends.keys()) - sent.keys()),
        duplicated=_sorted(key for key, times in ran.items() if times > 1),
        disordered=_disordered(handled),
        altered=_sorted(_key(line) for line in handled if _differs(line, sent.get(_key(line)))),
        unfounded=_sorted(key for key, found in ends.items() if Event.PROCESSED in found and key not in ran),
        unended=_sorted(accepted - ends.keys()),
        contradicted=_contradicted(ends, ran),
        producer_gap_seconds=_gap(_of(lines, Event.ACCEPTED)),
        consumer_gap_seconds=_gap(handled),
    )


def _key(line: Line) -> Key:
    return line.sender, line.number


def _of(lines: Iterable[Line], event: Event) -> Iterable[Line]:
    return (line for line in lines if line.event is event)


def _sorted(keys: Iterable[Key]) -> tuple[Key, ...]:
    return tuple(sorted(set(keys)))


def _ends(lines: Iterable[Line]) -> dict[Key, dict[Event, str]]:
    ends: dict[Key, dict[Event, str]] = {}
    for line in lines:
        if line.event in ENDS:
            ends.setdefault(_key(line), {})[line.event] = line.problem
    return ends


def _disordered(handled: Iterable[Line]) -> tuple[Key, ...]:
    """Numbers of one sender to one recipient must rise; the first handling counts, a second one is a duplicate."""
    highest: dict[tuple[str, str], int] = {}
    seen: set[Key] = set()
    found = []
    for line in handled:
        pair = line.sender, line.recipient
        if _key(line) not in seen and line.number < highest.get(pair, -1):
            found.append(_key(line))
        seen.add(_key(line))
        highest[pair] = max(line.number, highest.get(pair, -1))
    return _sorted(found)


def _differs(handled: Line, sent: Line | None) -> bool:
    return sent is not None and (handled.digest, handled.recipient) != (sent.digest, sent.recipient)


def _contradicted(ends: dict[Key, dict[Event, str]], ran: Counter[Key]) -> tuple[Key, ...]:
    failed_but_handled = (
        key
        for key, found in ends.items()
        if key in ran and (Event.EXPIRED in found or found.get(Event.DEAD, INTERRUPTED) != INTERRUPTED)
    )
    return _sorted((*(key for key, found in ends.items() if len(found) > 1), *failed_but_handled))


def _gap(lines: Iterable[Line]) -> float:
    times = sorted(line.at for line in lines)
    return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
