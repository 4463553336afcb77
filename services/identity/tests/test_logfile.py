from collections.abc import Iterator
from pathlib import Path

import pytest

from aiconexus.identity.logfile import BEHIND_MAX_BYTES, LINE_MAX_BYTES, PIECE_BYTES, LogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with a line from before."""
    path = tmp_path / "nats.log"
    path.write_bytes(b"old\n")
    return path


@pytest.fixture
def log(path: Path) -> Iterator[LogFile]:
    """Its reader, which has looked once."""
    log = LogFile(path)
    assert log.hold()
    assert [] == log.read()
    yield log
    log.close()


def append(path: Path, data: bytes) -> None:
    """What the server does."""
    with path.open("ab") as stream:
        stream.write(data)


def everything(log: LogFile) -> list[bytes]:
    """All lines that are there."""
    found: list[bytes] = []
    while lines := log.read():
        found += lines
    return found


def test_only_new_lines_are_read_and_only_whole_ones(path: Path, log: LogFile) -> None:
    """What was there before is left, and half a line waits for its end."""
    append(path, b"one\ntw")
    first = log.read()
    append(path, b"o\n")

    assert [b"one"] == first
    assert [b"two"] == log.read()
    assert [] == log.read()


def test_nothing_is_missed_when_the_file_is_rotated(path: Path, log: LogFile) -> None:
    """The last lines of the old file come before the first ones of the new."""
    append(path, b"one\n")
    path.rename(path.with_suffix(".1"))
    missing = [*everything(log), *everything(log)]
    append(path, b"two\n")
    assert [] == log.read()

    assert [b"one"] == missing
    assert [b"two"] == log.read()


def test_truncated_file_is_read_from_its_beginning(path: Path, log: LogFile) -> None:
    """A file that shrank has begun anew."""
    append(path, b"one\nha")
    assert [b"one"] == log.read()
    path.write_bytes(b"two\n")

    assert [b"two"] == log.read()


def test_file_that_comes_later_is_read_whole(tmp_path: Path) -> None:
    """A server that starts after us has written nothing that is older than we are."""
    log = LogFile(tmp_path / "nats.log")
    assert [] == log.read()
    append(tmp_path / "nats.log", b"one\n")

    assert [b"one"] == log.read()
    log.close()


def test_endless_line_is_dropped(path: Path, log: LogFile) -> None:
    """A line beyond the bound takes no memory, and the next one is read."""
    append(path, b"x" * (LINE_MAX_BYTES + 1))
    assert [] == log.read()
    append(path, b"y\nnext\n")

    assert [b"next"] == log.read()


def test_who_is_far_behind_goes_on_near_the_end(path: Path, log: LogFile) -> None:
    """More than can be read is skipped and counted, up to the next whole line."""
    line = b"x" * 999 + b"\n"
    flood = line * (BEHIND_MAX_BYTES // len(line) + 500)
    append(path, flood)
    lines = everything(log)

    assert {line[:-1]} == set(lines)
    assert log.skipped_bytes == len(flood) - PIECE_BYTES
    assert PIECE_BYTES // len(line) == len(lines)


def test_one_of_several_reads(path: Path, log: LogFile) -> None:
    """Another process reads nothing as long as the first one lives."""
    other = LogFile(path)
    before = other.hold()
    log.close()

    assert (False, True) == (before, other.hold())
    assert other.hold()
    other.close()


def test_unreadable_folder_is_told(tmp_path: Path) -> None:
    """A folder that is not there is an error of the operator's."""
    with pytest.raises(FileNotFoundError):
        LogFile(tmp_path / "nowhere" / "nats.log").hold()
