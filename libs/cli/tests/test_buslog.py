from pathlib import Path

from aiconexus.cli.buslog import MAX_BYTES, BusLog

LINE = "x" * (MAX_BYTES // 4)


def test_two_files_hold_the_latest_lines(tmp_path: Path) -> None:
    """However much the server writes, there is one file that is full and one that is not."""
    log = BusLog(tmp_path / "nats.log")
    for _ in range(9):
        log.write(LINE)
    log.close()

    assert {"nats.log", "nats.log.1"} == {path.name for path in tmp_path.iterdir()}
    assert (LINE + "\n").encode() == log.path.read_bytes()


def test_lines_that_cannot_be_written_are_dropped(tmp_path: Path) -> None:
    """Without a place to write to the server's lines go on being read, and are written as soon as there is one."""
    log = BusLog(tmp_path / "run" / "nats.log")
    log.write("lost")
    log.path.parent.mkdir()
    log.write("kept")
    log.close()

    assert b"kept\n" == log.path.read_bytes()
