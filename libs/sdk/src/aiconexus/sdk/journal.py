"""
What an agent must not forget when its process dies: one SQLite file.

The file is in WAL mode with ``synchronous=NORMAL``: a commit survives the end of the process, however it comes; a
power failure may take the last commits. Calls take some 20 microseconds and run inline.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from aiconexus.protocol.errors import Refused

_FIRST = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sequences (recipient TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  recipient TEXT NOT NULL,
  type TEXT NOT NULL,
  state TEXT NOT NULL,
  codec INTEGER NOT NULL,
  sealed BLOB,
  ends_ms INTEGER NOT NULL,
  problem TEXT
);
CREATE INDEX outbox_by_state ON outbox (state, position);
CREATE INDEX outbox_by_end ON outbox (ends_ms);
CREATE TABLE inbox (
  sender TEXT NOT NULL,
  id TEXT NOT NULL,
  digest BLOB NOT NULL,
  ends_ms INTEGER NOT NULL,
  rerun INTEGER NOT NULL DEFAULT 0,
  status TEXT,
  problem TEXT,
  told INTEGER NOT NULL DEFAULT 0,
  reply_type TEXT,
  reply BLOB,
  PRIMARY KEY (sender, id)
) WITHOUT ROWID;
CREATE INDEX inbox_untold ON inbox (sender) WHERE status IS NOT NULL AND told = 0;
CREATE INDEX inbox_started ON inbox (sender) WHERE status IS NULL;
CREATE INDEX inbox_by_end ON inbox (ends_ms);
"""
_CALLS_AND_RETRIES = """
ALTER TABLE outbox ADD COLUMN plan BLOB;
ALTER TABLE inbox ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN reply_id TEXT;
UPDATE inbox SET reply = NULL;
ALTER TABLE inbox DROP COLUMN reply_type;
CREATE TABLE calls (
  name TEXT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  callee TEXT NOT NULL,
  digest BLOB NOT NULL,
  ends_ms INTEGER NOT NULL,
  next INTEGER NOT NULL DEFAULT 0,
  answer BLOB
) WITHOUT ROWID;
CREATE INDEX calls_by_end ON calls (ends_ms);
CREATE TABLE chunks (
  caller TEXT NOT NULL,
  id TEXT NOT NULL,
  position INTEGER NOT NULL,
  body BLOB NOT NULL,
  ends_ms INTEGER NOT NULL,
  PRIMARY KEY (caller, id, position)
) WITHOUT ROWID;
CREATE INDEX chunks_by_end ON chunks (ends_ms);
"""
_INCIDENTS = """
CREATE TABLE incidents (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  event TEXT NOT NULL,
  peer TEXT,
  session TEXT,
  detail TEXT
);
"""
_WITNESS = """
ALTER TABLE incidents ADD COLUMN previous BLOB;
ALTER TABLE incidents ADD COLUMN digest BLOB;
ALTER TABLE incidents ADD COLUMN signature BLOB;
"""
SCHEMAS = (_FIRST, _CALLS_AND_RETRIES, _INCIDENTS, _WITNESS)
"""What leads from each version to the next."""
SCHEMA_VERSION = len(SCHEMAS)
SWEPT = ("outbox", "inbox", "calls", "chunks")

MEMORY = ":memory:"


class Journal:
    """
    The open file.

    Args:
        path: The file, made with mode 0600; ``:memory:`` for an agent that forgets. Only one process may have it.

    Raises:
        Refused: If another process has it, or a newer release wrote it.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._lock = None if self.path == MEMORY else _lock(self.path)
        self.database = sqlite3.connect(self.path, isolation_level=None)
        self._depth = 0
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = NORMAL")
        self._migrate()

    def _migrate(self) -> None:
        version = self.database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            self.close()
            raise Refused(f"the journal {self.path} was written by a newer release (schema {version})")
        if version < SCHEMA_VERSION:
            steps = "".join(SCHEMAS[version:])
            self.database.executescript(f"BEGIN;{steps}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do several things or none; may be nested, the outermost commits."""
        if self._depth == 0:
            self.database.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield self.database
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self.database.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self.database.execute("COMMIT")

    def fact(self, name: str) -> str | None:
        """A remembered word: ``platform``, ``cursor``."""
        row = self.database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, name: str, value: str) -> None:
        """Set a fact."""
        self.database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def sweep(self, now_ms: int) -> None:
        """Delete what nobody can ask for any more."""
        with self.transaction() as database:
            for table in SWEPT:
                database.execute(f"DELETE FROM {table} WHERE ends_ms < ?", (now_ms,))  # noqa: S608 - our own names

    def close(self) -> None:
        """Close the file and let others have it."""
        self.database.close()
        if self._lock is not None:
            self._lock.close()


def journal_path(key_file: Path | None) -> str | Path:
    """Where the journal of an identity lies unless somebody says otherwise: beside its key, or nowhere."""
    return MEMORY if key_file is None else key_file.with_name(key_file.name + ".journal")


def _lock(path: str) -> IO[bytes]:
    """Take the file for this process alone; the lock ends with the process."""
    descriptor = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise Refused(f"another process uses the journal {path}") from error
    # SQLite gives its own files the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return file
