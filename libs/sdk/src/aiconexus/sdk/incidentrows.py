"""
Incidents of the direct path in the journal: the newest are kept, signed, each chained to the one before it.

The digest of an entry is the SHA-256 over the digest of the entry before it and the JSON array of its time, event,
peer, session and detail; the agent signs each digest. So nobody who lacks its key can change, insert or leave out an
entry between others unseen. Only the oldest go, when there are too many.
"""

import hashlib

import msgspec

from aiconexus.protocol.errors import IdentityError
from aiconexus.protocol.keys import SigningKey, verify
from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk.journal import Journal

KEPT_MAX = 10_000
PRUNE_EVERY = 100
DOMAIN = b"aiconexus/v1/incident\n"
FIRST = bytes(32)
"""What stands for the digest before the first entry."""

_FACTS = "at_ms, event, peer, session, detail"
_encode = msgspec.json.Encoder().encode


class Checked(msgspec.Struct, frozen=True):
    """How many entries are as they were written, and the place of the first that is not, if any."""

    entries: int
    broken_at: int | None = None


class IncidentRows:
    """
    The table.

    Args:
        journal: Where it lies.
        key: The agent's.

    """

    def __init__(self, journal: Journal, key: SigningKey) -> None:
        self._journal = journal
        self._key = key
        self._added = 0

    def add(self, incident: Incident) -> None:
        """Keep one."""
        facts = (incident.at_ms, incident.event, incident.peer, incident.session, incident.detail)
        with self._journal.transaction() as database:
            last = database.execute("SELECT digest FROM incidents ORDER BY position DESC LIMIT 1").fetchone()
            previous = FIRST if last is None or last[0] is None else bytes(last[0])
            digest = _digest(previous, facts)
            database.execute(
                f"INSERT INTO incidents ({_FACTS}, previous, digest, signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own names
                (*facts, previous, digest, self._key.sign(DOMAIN + digest)),
            )
            self._added += 1
            if self._added % PRUNE_EVERY == 1:
                database.execute(
                    "DELETE FROM incidents WHERE position <= (SELECT max(position) FROM incidents) - ?", (KEPT_MAX,)
                )

    def find(
        self,
        event: str | None = None,
        peer: str | None = None,
        since_ms: int = 0,
        limit: int = 100,
        session: str | None = None,
    ) -> list[Incident]:
        """The newest that fit, the newest first."""
        rows = self._journal.database.execute(
            "SELECT event, peer, session, detail, at_ms FROM incidents WHERE (?1 IS NULL OR event = ?1)"
            " AND (?2 IS NULL OR peer = ?2) AND at_ms >= ?3 AND (?5 IS NULL OR session = ?5)"
            " ORDER BY position DESC LIMIT ?4",
            (event, peer, since_ms, limit, session),
        )
        return [
            Incident(event=event, peer=peer, session=session, detail=detail, at_ms=at_ms)
            for event, peer, session, detail, at_ms in rows
        ]

    def check(self) -> Checked:
        """Verify the chain and every signature, from the oldest entry on."""
        statement = f"SELECT position, previous, digest, signature, {_FACTS} FROM incidents ORDER BY position"  # noqa: S608 - our own names
        before: tuple[int, bytes] | None = None
        entries = 0
        for position, previous, digest, signature, *facts in self._journal.database.execute(statement):
            follows = before is None or before == (position - 1, previous)
            if not follows or not self._is_ours(previous, digest, signature, tuple(facts)):
                return Checked(entries, position)
            entries += 1
            before = position, digest
        return Checked(entries)

    def _is_ours(
        self, previous: bytes | None, digest: bytes | None, signature: bytes | None, facts: tuple[object, ...]
    ) -> bool:
        if previous is None or digest is None or signature is None or digest != _digest(previous, facts):
            return False
        try:
            verify(self._key.did, DOMAIN + digest, signature)
        except IdentityError:
            return False
        return True


def _digest(previous: bytes, facts: tuple[object, ...]) -> bytes:
    return hashlib.sha256(previous + _encode(facts)).digest()
