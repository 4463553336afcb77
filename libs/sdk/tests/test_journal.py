"""The journal: one file, one process, all or nothing."""

import sqlite3
import stat
from pathlib import Path

import pytest

from aiconexus.protocol.bodies import ReceiptStatus
from aiconexus.protocol.errors import Refused
from aiconexus.sdk.journal import MEMORY, SCHEMA_VERSION, Journal, journal_path
from aiconexus.sdk.rows import InRows, OutRow, OutRows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where no journal is yet."""
    return tmp_path / "agent.journal"


def test_facts_survive(path: Path) -> None:
    """What was remembered is there in the next life."""
    first = Journal(path)
    first.remember("platform", "did:key:zA")
    first.remember("platform", "did:key:zB")
    first.close()
    second = Journal(path)

    assert second.fact("platform") == "did:key:zB"
    assert second.fact("cursor") is None
    second.close()


def test_file_is_private(path: Path) -> None:
    """Bodies lie in the journal: it is for its owner alone."""
    Journal(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_second_process_is_refused(path: Path) -> None:
    """Two processes would answer the same envelope twice."""
    first = Journal(path)

    with pytest.raises(Refused, match="another process"):
        Journal(path)
    first.close()
    Journal(path).close()


def test_newer_schema_is_refused(path: Path) -> None:
    """An older release does not touch what it does not understand."""
    Journal(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()

    with pytest.raises(Refused, match="newer release"):
        Journal(path)


def test_failed_transaction_leaves_nothing(path: Path) -> None:
    """An error in the middle undoes everything, also what an inner block did."""
    journal = Journal(path)

    with pytest.raises(ValueError, match="middle"), journal.transaction():  # noqa: PT012
        journal.remember("outer", "1")
        with journal.transaction():
            journal.remember("inner", "1")
        raise ValueError("middle")
    assert journal.fact("outer") is None
    assert journal.fact("inner") is None
    journal.close()


def test_failed_inner_block_is_left_to_the_outer_one(path: Path) -> None:
    """Whoever catches the error of an inner block may still commit."""
    journal = Journal(path)
    with journal.transaction():
        with pytest.raises(ValueError, match="inner"), journal.transaction():
            raise ValueError("inner")
        journal.remember("outer", "1")

    assert journal.fact("outer") == "1"
    journal.close()


def test_rows_do_not_outlive_their_envelopes(path: Path) -> None:
    """The journal is bounded by what still counts."""
    journal = Journal(path)
    outbox, inbox = OutRows(journal), InRows(journal)
    for ends_ms in (10, 20):
        outbox.add(OutRow(f"o{ends_ms}", "did:key:zR", "MESSAGE", "stored", 1, None, ends_ms))
        inbox.start("did:key:zS", f"i{ends_ms}", b"", ends_ms)
        inbox.finish("did:key:zS", f"i{ends_ms}", ReceiptStatus.PROCESSED)
    journal.sweep(15)

    assert [None, "o20"] == [row and row.id for row in (outbox.find("o10"), outbox.find("o20"))]
    assert ["i20"] == [id_ for id_, _, _ in inbox.untold("did:key:zS", 10)]
    journal.close()


def test_journal_lies_beside_the_key() -> None:
    """By default an identity and its journal are found together; without a file nothing is kept."""
    assert journal_path(Path("/keys/bob.key")) == Path("/keys/bob.key.journal")
    assert journal_path(None) == MEMORY
