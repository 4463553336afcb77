from pathlib import Path

import pytest

from aiconexus.cli.demo.texts import PIECE_MAX_CHARACTERS, Statistics, count, pieces_of, text_files, total
from aiconexus.cli.failure import Failure

TEXTS = {
    "a.md": "# One\n\nTwo words\n" * 50,
    "b.txt": "no line end",
    "c.rst": "",
    "long.md": "x" * (2 * PIECE_MAX_CHARACTERS + 1),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some texts, and something that is none."""
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "picture.svg").write_text("<svg/>")
    return tmp_path


def test_text_files_are_found_below_folders_and_as_they_are(folder: Path) -> None:
    """Texts are found wherever they are, once each and in order."""
    assert [folder / name for name in TEXTS] == text_files([folder, folder / "b.txt"])


def test_no_texts_is_told_with_a_way_out(tmp_path: Path) -> None:
    """A folder without texts is no work."""
    with pytest.raises(Failure, match="--folder"):
        text_files([tmp_path])


@pytest.mark.parametrize("about", [1, 7, 1000])
def test_pieces_leave_nothing_out(folder: Path, about: int) -> None:
    """Put together again, the pieces are the files."""
    pieces = pieces_of(text_files([folder]), about)
    again = {name: "".join(piece.text for piece in pieces if piece.name == name) for name in TEXTS}

    assert again == TEXTS
    assert max(len(piece.text) for piece in pieces) <= PIECE_MAX_CHARACTERS


def test_about_as_many_pieces_as_wanted(folder: Path) -> None:
    """The number of pieces follows the wish, whatever the size of the files."""
    assert 60 <= len(pieces_of([folder / "a.md"], 60)) <= 80


def test_statistics_of_pieces_add_up() -> None:
    """Counting piece by piece gives what counting at once gives."""
    text = "Größe, 2 words\nand more\n"

    assert Statistics(lines=2, words=5, characters=24, letters=17) == count(text)
    assert count(text) == total([count(text[:9]), count(text[9:])]) == count(text[:9]) + count(text[9:])
