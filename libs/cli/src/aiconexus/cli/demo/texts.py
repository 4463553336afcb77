"""The work of the demo: statistics over text files, piece by piece."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from aiconexus.cli.failure import Exit, Failure

SUFFIXES = frozenset({".md", ".rst", ".txt"})
PIECES_ABOUT = 240
"""Into so many pieces a folder is cut, whatever its size: enough to be caught in the middle by a crash."""
PIECE_MAX_CHARACTERS = 8_000
"""A piece fits an envelope, in either codec."""


class Piece(msgspec.Struct, frozen=True):
    """Some lines of a file."""

    name: str
    text: str


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What can be counted in a text; all of it adds up over pieces."""

    lines: int = 0
    words: int = 0
    characters: int = 0
    letters: int = 0

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(
            lines=self.lines + other.lines,
            words=self.words + other.words,
            characters=self.characters + other.characters,
            letters=self.letters + other.letters,
        )


def count(text: str) -> Statistics:
    """The statistics of one text."""
    return Statistics(
        lines=text.count("\n"),
        words=len(text.split()),
        characters=len(text),
        letters=sum(character.isalpha() for character in text),
    )


def total(parts: Iterable[Statistics]) -> Statistics:
    """The statistics of many texts together."""
    return sum(parts, Statistics())


def text_files(places: Sequence[Path]) -> list[Path]:
    """
    The text files among and below some places, in order.

    Raises:
        Failure: If there are none.

    """
    found = {
        file
        for place in places
        for file in ([place] if place.is_file() else place.rglob("*"))
        if file.suffix in SUFFIXES and file.is_file()
    }
    if not found:
        names = " or ".join(str(place) for place in places)
        raise Failure(f"no text files in {names}; name a folder that has some with --folder", Exit.USAGE)
    return sorted(found)


def pieces_of(files: Sequence[Path], about: int = PIECES_ABOUT) -> list[Piece]:
    """
    Cut files into about so many pieces of some lines each; nothing is left out.

    Args:
        files: In UTF-8; what is not is replaced.
        about: At least one piece a file, whatever this says.

    """
    texts = [(file.name, file.read_text(encoding="utf-8", errors="replace")) for file in files]
    lines = sum(text.count("\n") + 1 for _, text in texts)
    step = max(1, lines // max(1, about))
    return [Piece(name, part) for name, text in texts for part in _cut(text, step)]


def _cut(text: str, step: int) -> list[str]:
    lines = text.splitlines(keepends=True) or [""]
    parts = ["".join(lines[start : start + step]) for start in range(0, len(lines), step)]
    return [
        part[start : start + PIECE_MAX_CHARACTERS]
        for part in parts
        for start in range(0, max(1, len(part)), PIECE_MAX_CHARACTERS)
    ]
