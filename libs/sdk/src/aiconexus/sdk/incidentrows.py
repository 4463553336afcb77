"""Incidents of the direct path in the journal: the newest are kept."""

from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk.journal import Journal

KEPT_MAX = 10_000
PRUNE_EVERY = 100


class IncidentRows:
    """
    The table.

    Args:
        journal: Where it lies.

    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._added = 0

    def add(self, incident: Incident) -> None:
        """Keep one."""
        row = (incident.at_ms, incident.event, incident.peer, incident.session, incident.detail)
        with self._journal.transaction() as database:
            database.execute("INSERT INTO incidents (at_ms, event, peer, session, detail) VALUES (?, ?, ?, ?, ?)", row)
            self._added += 1
            if self._added % PRUNE_EVERY == 1:
                database.execute(
                    "DELETE FROM incidents WHERE position <= (SELECT max(position) FROM incidents) - ?", (KEPT_MAX,)
                )

    def find(
        self, event: str | None = None, peer: str | None = None, since_ms: int = 0, limit: int = 100
    ) -> list[Incident]:
        """The newest that fit, the newest first."""
        rows = self._journal.database.execute(
            "SELECT event, peer, session, detail, at_ms FROM incidents WHERE (?1 IS NULL OR event = ?1)"
            " AND (?2 IS NULL OR peer = ?2) AND at_ms >= ?3 ORDER BY position DESC LIMIT ?4",
            (event, peer, since_ms, limit),
        )
        return [
            Incident(event=event, peer=peer, session=session, detail=detail, at_ms=at_ms)
            for event, peer, session, detail, at_ms in rows
        ]
