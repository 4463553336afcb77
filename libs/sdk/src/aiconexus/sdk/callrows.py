"""The rows of the journal that calls need: what a caller asked and where it stands, and what a callee said in parts."""

import msgspec

from aiconexus.protocol.call_bodies import Chunk
from aiconexus.sdk.journal import Journal

CALL_COLUMNS = "name, id, callee, digest, ends_ms, next, answer"


class CallRow(msgspec.Struct, frozen=True, array_like=True):
    """
    A call of ours that may be asked again.

    ``name`` is the id that the application gave, ``id`` that of the envelope to the present ``callee``. ``next`` counts
    the chunks that the application has taken, ``answer`` is the sealed answer.
    """

    name: str
    id: str
    callee: str
    digest: bytes
    ends_ms: int
    next: int = 0
    answer: bytes | None = None


class CallRows:
    """
    The calls that we asked.

    Args:
        journal: Where they lie.

    """

    def __init__(self, journal: Journal) -> None:
        self._database = journal.database

    def add(self, row: CallRow) -> None:
        """Take a call in; one of the same name is replaced."""
        statement = f"INSERT OR REPLACE INTO calls ({CALL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
        self._database.execute(statement, msgspec.structs.astuple(row))

    def find(self, name: str) -> CallRow | None:
        """The call of a name."""
        statement = f"SELECT {CALL_COLUMNS} FROM calls WHERE name = ?"  # noqa: S608 - likewise
        row = self._database.execute(statement, (name,)).fetchone()
        return None if row is None else CallRow(*row)

    def answer(self, id_: str, callee: str, sealed: bytes) -> None:
        """The callee has answered; the first answer counts."""
        statement = "UPDATE calls SET answer = ? WHERE id = ? AND callee = ? AND answer IS NULL"
        self._database.execute(statement, (sealed, id_, callee))

    def advance(self, name: str, next_: int) -> None:
        """The application has taken all chunks below this one."""
        self._database.execute("UPDATE calls SET next = ? WHERE name = ?", (next_, name))


class ChunkRows:
    """
    The chunks that we sent and their callers have not taken.

    Args:
        journal: Where they lie.

    """

    def __init__(self, journal: Journal) -> None:
        self._database = journal.database

    def add(self, caller: str, id_: str, chunk: Chunk, ends_ms: int) -> int:
        """Keep a chunk of the answer to a call; returns its bytes."""
        body = msgspec.msgpack.encode(chunk)
        row = (caller, id_, chunk.index, body, ends_ms)
        self._database.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?)", row)
        return len(body)

    def since(self, caller: str, id_: str, next_: int = 0) -> list[Chunk]:
        """What is kept from an index on, in order."""
        statement = "SELECT body FROM chunks WHERE caller = ? AND id = ? AND position >= ? ORDER BY position"
        rows = self._database.execute(statement, (caller, id_, next_))
        return [msgspec.msgpack.decode(body, type=Chunk) for (body,) in rows]

    def drop(self, caller: str, id_: str, next_: int) -> None:
        """Forget what the caller has taken."""
        self._database.execute("DELETE FROM chunks WHERE caller = ? AND id = ? AND position < ?", (caller, id_, next_))
