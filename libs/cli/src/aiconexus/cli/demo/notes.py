"""
What each agent of the demo saw with its own eyes, in a file of its own.

The count at the end is made from these files alone: nothing in it is taken from the platform.
"""

import os
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec


class Event(StrEnum):
    """What an agent can note."""

    STATE = "state"
    STORED = "stored"
    DELIVERED = "delivered"
    PROCESSED = "processed"
    EXPIRED = "expired"
    DEAD = "dead_lettered"
    HANDLED = "handled"
    RESULT = "result"
    DONE = "done"
    ERROR = "error"


ENDS = (Event.PROCESSED, Event.EXPIRED, Event.DEAD)
"""What a sender is told in the end; the values are those of receipts."""


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One line.

    ``id`` is an envelope's, ``peer`` the DID at its other end. ``text`` is a state, a type, a problem or an error.
    """

    event: Event
    at: float = 0.0
    id: str = ""
    peer: str = ""
    text: str = ""
    figures: Mapping[str, int] = {}


class Notebook:
    """
    The file that one process appends to.

    Args:
        path: Made if it lacks; what was written survives SIGKILL.

    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, event: Event, *, id_: str = "", peer: str = "", text: str = "", **figures: int) -> None:
        """Append one line with one system call."""
        note = Note(event=event, at=time.time(), id=id_, peer=peer, text=text, figures=figures)
        os.write(self._descriptor, msgspec.json.encode(note) + b"\n")


class Reader:
    """
    Follows a notebook that somebody else writes.

    Args:
        path: Need not exist yet.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def news(self) -> list[Note]:
        """Whole lines that came since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [msgspec.json.decode(line, type=Note) for line in whole.splitlines()]
