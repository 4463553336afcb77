"""What happened on the direct path that somebody may ask for later: kept, told, and reported to the platform."""

import asyncio
from collections.abc import Awaitable, Callable

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.incidentrows import IncidentRows

DETAIL_CHARACTERS = 200
REPORTS_MAX = 20
"""Reports at once; then one a second. What is more is kept here alone."""
REPORTS_PER_SECOND = 1.0


class Incidents:
    """
    The book of one agent.

    Args:
        rows: Where it is kept.
        tell: Has the application told.
        report: Tells signaling; None if nobody wants that.
        crew: Background work.

    """

    def __init__(
        self,
        rows: IncidentRows,
        tell: Callable[[Incident], None],
        report: Callable[[Incident], Awaitable[object]] | None,
        crew: Crew,
    ) -> None:
        self._rows = rows
        self._tell = tell
        self._report = report
        self._crew = crew
        self._budget = float(REPORTS_MAX)
        self._filled_at = 0.0

    def note(self, event: str, peer: str | None = None, session: str | None = None, detail: str | None = None) -> None:
        """
        Write something down.

        Args:
            event: One of ``vocabulary.INCIDENTS``.
            peer: Whom it concerns.
            session: In which session.
            detail: A sentence.

        """
        line = None if detail is None else "".join(c if c.isprintable() else "?" for c in detail[:DETAIL_CHARACTERS])
        incident = Incident(event=event, peer=peer, session=session, detail=line, at_ms=now_ms())
        from aiconexus.sdk.direct import metrics  # noqa: PLC0415 - most agents never note anything

        metrics.note_incident(event)
        self._rows.add(incident)
        self._tell(incident)
        if self._report is not None and self._may_report():
            self._crew.start(self._send(incident), f"incident-{event}")

    def _may_report(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._budget = min(self._budget + (now - self._filled_at) * REPORTS_PER_SECOND, REPORTS_MAX)
        self._filled_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    async def _send(self, incident: Incident) -> None:
        if self._report is None:
            return
        try:
            await self._report(incident)
        except AiconexusError:
            # Best effort: it stays in our own book.
            return
