"""The rows of the journal: what is to be sent, and what has come."""

from collections.abc import Iterable

import msgspec

from aiconexus.protocol.bodies import ReceiptStatus
from aiconexus.sdk.journal import Journal

QUEUED, STORED, PROCESSED, DEAD = "queued", "stored", "processed", "dead"
OUT_COLUMNS = "id, recipient, type, state, codec, sealed, ends_ms, problem, plan"
IN_COLUMNS = "digest, ends_ms, status, problem, told, returned, reply_id, reply"


class OutRow(msgspec.Struct, frozen=True, array_like=True):
    """
    An envelope of ours; ``sealed`` is there until it is stored.

    With a ``plan`` it goes to the retry service instead of the relay.
    """

    id: str
    recipient: str
    type: str
    state: str
    codec: int
    sealed: bytes | None
    ends_ms: int
    problem: str | None = None
    plan: bytes | None = None


class InRow(msgspec.Struct, frozen=True, array_like=True):
    """
    An envelope that came; without ``status`` its handler has begun and not ended.

    ``returned`` is the place in the mailbox of the attempt that failed and is left to the retry service, 0 if none is;
    ``reply`` the sealed answer, ``reply_id`` its id.
    """

    digest: bytes
    ends_ms: int
    status: ReceiptStatus | None
    problem: str | None
    told: bool
    returned: int = 0
    reply_id: str | None = None
    reply: bytes | None = None


class OutRows:
    """
    The outbox.

    Args:
        journal: Where it lies.

    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._database = journal.database

    def next_sequence(self, recipient: str) -> int:
        """Count an envelope to a recipient."""
        statement = (
            "INSERT INTO sequences VALUES (?, 1) ON CONFLICT (recipient) DO UPDATE SET last = last + 1 RETURNING last"
        )
        rows = self._database.execute(statement, (recipient,)).fetchall()
        return int(rows[0][0])

    def add(self, row: OutRow) -> None:
        """Take an envelope in; one that carried the id before is replaced."""
        statement = f"INSERT OR REPLACE INTO outbox ({OUT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
        self._database.execute(statement, msgspec.structs.astuple(row))

    def find(self, id_: str) -> OutRow | None:
        """An envelope of ours that has not come to a good end."""
        statement = f"SELECT {OUT_COLUMNS} FROM outbox WHERE id = ?"  # noqa: S608 - likewise
        row = self._database.execute(statement, (id_,)).fetchone()
        return None if row is None else OutRow(*row)

    def queued(self) -> list[tuple[str, str]]:
        """Id and recipient of all that is to be sent, in order."""
        statement = "SELECT id, recipient FROM outbox WHERE state = ? ORDER BY position"
        return [(str(id_), str(recipient)) for id_, recipient in self._database.execute(statement, (QUEUED,))]

    def dead(self) -> list[OutRow]:
        """What could not be delivered, in order."""
        statement = f"SELECT {OUT_COLUMNS} FROM outbox WHERE state = ? ORDER BY position"  # noqa: S608 - likewise
        return [OutRow(*row) for row in self._database.execute(statement, (DEAD,))]

    def reseal(self, id_: str, codec: int, sealed: bytes) -> None:
        """Put other bytes in place of an envelope that was never sent, also where it is kept as an answer."""
        with self._journal.transaction() as database:
            database.execute("UPDATE outbox SET codec = ?, sealed = ? WHERE id = ?", (codec, sealed, id_))
            statement = (
                "UPDATE inbox SET reply = ? WHERE reply_id = ? AND sender = (SELECT recipient FROM outbox WHERE id = ?)"
            )
            database.execute(statement, (sealed, id_, id_))

    def mark_stored(self, id_: str, *, kept: bool = False) -> None:
        """The relay has it: the bytes may go unless they are ``kept`` for another road; the row waits for receipts."""
        self._database.execute(
            "UPDATE outbox SET state = ?, sealed = CASE WHEN ? THEN sealed END WHERE id = ? AND state = ?",
            (STORED, kept, id_, QUEUED),
        )

    def stored_for(self, recipient: str, limit: int, after: str = "") -> list[tuple[str, bool]]:
        """
        What waits at the relay for one recipient, behind the envelope ``after``.

        Returns:
            The last ``limit`` ids in order, and whether we still have the bytes of each.

        """
        statement = (
            "SELECT id, sealed IS NOT NULL FROM outbox WHERE state = ? AND recipient = ? AND plan IS NULL "
            "AND position > coalesce((SELECT position FROM outbox WHERE id = ?), 0) ORDER BY position DESC LIMIT ?"
        )
        rows = self._database.execute(statement, (STORED, recipient, after, limit)).fetchall()
        return [(str(id_), bool(has_bytes)) for id_, has_bytes in reversed(rows)]

    def oldest_for(self, recipient: str) -> str | None:
        """What has waited longest at the relay for one recipient."""
        statement = "SELECT id FROM outbox WHERE state = ? AND recipient = ? AND plan IS NULL ORDER BY position LIMIT 1"
        row = self._database.execute(statement, (STORED, recipient)).fetchone()
        return None if row is None else str(row[0])

    def in_order(self, ids: Iterable[str]) -> list[str]:
        """Those of these that are known, each once, in the order in which they were handed over."""
        wanted = dict.fromkeys(ids)
        statement = "SELECT position, id FROM outbox WHERE id = ?"
        rows = (self._database.execute(statement, (id_,)).fetchone() for id_ in wanted)
        return [str(row[1]) for row in sorted(row for row in rows if row is not None)]

    def mark_dead(self, id_: str, problem: str) -> None:
        """It will never be processed, and this is why."""
        self._database.execute(
            "UPDATE outbox SET state = ?, sealed = NULL, problem = ? WHERE id = ?", (DEAD, problem, id_)
        )

    def mark_processed(self, id_: str) -> None:
        """The recipient is done with it."""
        self._database.execute("UPDATE outbox SET state = ?, sealed = NULL WHERE id = ?", (PROCESSED, id_))

    def forget(self, ids: Iterable[str]) -> None:
        """Delete those of these that were processed."""
        with self._journal.transaction() as database:
            database.executemany("DELETE FROM outbox WHERE id = ? AND state = ?", [(id_, PROCESSED) for id_ in ids])


class InRows:
    """
    The inbox.

    Args:
        journal: Where it lies.

    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._database = journal.database

    def find(self, sender: str, id_: str) -> InRow | None:
        """What is known of an envelope."""
        statement = f"SELECT {IN_COLUMNS} FROM inbox WHERE sender = ? AND id = ?"  # noqa: S608 - our own names
        row = self._database.execute(statement, (sender, id_)).fetchone()
        return None if row is None else InRow(*row)

    def start(self, sender: str, id_: str, digest: bytes, ends_ms: int, *, rerun: bool = False) -> None:
        """Its handler begins now."""
        statement = "INSERT OR REPLACE INTO inbox (sender, id, digest, ends_ms, rerun) VALUES (?, ?, ?, ?, ?)"
        self._database.execute(statement, (sender, id_, digest, ends_ms, rerun))

    def finish(
        self,
        sender: str,
        id_: str,
        status: ReceiptStatus,
        problem: str | None = None,
        *,
        reply_id: str | None = None,
        reply: bytes | None = None,
    ) -> None:
        """Its handler has ended, and the sender is to be told."""
        statement = (
            "UPDATE inbox SET status = ?, problem = ?, reply_id = ?, reply = ?, told = 0, returned = 0 "
            "WHERE sender = ? AND id = ?"
        )
        self._database.execute(statement, (status.value, problem, reply_id, reply, sender, id_))

    def give_back(self, sender: str, id_: str, sequence: int) -> None:
        """The attempt at this place in the mailbox failed: the retry service is to have it."""
        self._database.execute("UPDATE inbox SET returned = ? WHERE sender = ? AND id = ?", (sequence, sender, id_))

    def interrupt(self, status: ReceiptStatus, problem: str) -> tuple[int, int]:
        """
        Settle what a crash left behind: forget what may run again, end the rest.

        Returns:
            How many of each.

        """
        with self._journal.transaction() as database:
            again = database.execute("DELETE FROM inbox WHERE status IS NULL AND returned = 0 AND rerun = 1").rowcount
            ended = database.execute(
                "UPDATE inbox SET status = ?, problem = ?, told = 0 WHERE status IS NULL AND returned = 0",
                (status.value, problem),
            ).rowcount
        return again, ended

    def untold_senders(self) -> list[str]:
        """Who still waits for a receipt."""
        statement = "SELECT DISTINCT sender FROM inbox WHERE status IS NOT NULL AND told = 0"
        return [str(row[0]) for row in self._database.execute(statement)]

    def untold(self, sender: str, limit: int) -> list[tuple[str, ReceiptStatus, str | None]]:
        """What a sender is to be told: id, status, problem."""
        statement = "SELECT id, status, problem FROM inbox WHERE sender = ? AND status IS NOT NULL AND told = 0 LIMIT ?"
        rows = self._database.execute(statement, (sender, limit))
        return [(str(id_), ReceiptStatus(status), problem) for id_, status, problem in rows]

    def mark_told(self, sender: str, ids: Iterable[str], *, told: bool = True) -> None:
        """The sender knows; or is to be told again."""
        with self._journal.transaction() as database:
            statement = "UPDATE inbox SET told = ? WHERE sender = ? AND id = ?"
            database.executemany(statement, [(told, sender, id_) for id_ in ids])
