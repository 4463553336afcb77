"""The table of features names what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (\d+) \| .* \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
ROWS: list[tuple[str, str, str]] = ROW.findall((ROOT / "docs/features.md").read_text())


def names(shown: str) -> bool:
    """Whether a file, a folder or a test of this name is there."""
    path, _, name = shown.partition("::")
    return (ROOT / path).exists() and (not name or f"def {name}(" in (ROOT / path).read_text())


def test_every_row_is_read() -> None:
    """No row of the page escapes the check, and no number stands there twice."""
    lines = re.findall(r"^\| \d+ \|", (ROOT / "docs/features.md").read_text(), re.MULTILINE)
    numbers = [number for number, _, _ in ROWS]

    assert len(lines) == len(ROWS)
    assert sorted(set(numbers)) == sorted(numbers)


@pytest.mark.parametrize(("where", "shown"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_a_row_names_exists(where: str, shown: str) -> None:
    """The place and the test that a row names are in the repository."""
    assert (ROOT / where).exists()
    assert names(shown)
