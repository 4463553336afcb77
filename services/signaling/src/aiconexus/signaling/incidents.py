"""
Take note of what agents saw: attempts to deceive them, and which road their traffic had to take.

Who reports may be lying; nothing follows from a report but a line in the log and a count.
"""

from collections.abc import Callable

from prometheus_client import Counter

from aiconexus.protocol.errors import Refused
from aiconexus.protocol.signal_bodies import Incident, Noted
from aiconexus.protocol.vocabulary import INCIDENTS, SECURITY_INCIDENTS
from aiconexus.runtime.desk import Request
from aiconexus.runtime.logs import Log, Throttle
from aiconexus.signaling.gate import Gate

NOTED = Counter("aiconexus_signaling_incidents", "INCIDENT reports of agents.", ["event"])
for _event in sorted(INCIDENTS):
    NOTED.labels(_event)

LINES_PER_SECOND = 50


class Incidents:
    """
    The verb ``incident``.

    Args:
        gate: Who may report, and how often.
        log: Of the service.
        now_ms: A clock in milliseconds since the epoch.

    """

    def __init__(self, gate: Gate, log: Log, now_ms: Callable[[], int]) -> None:
        self._gate = gate
        self._log = log
        self._now_ms = now_ms
        # Attempts to deceive are not drowned by reports of fallbacks.
        self._throttles = {True: Throttle(LINES_PER_SECOND), False: Throttle(LINES_PER_SECOND)}

    async def incident(self, request: Request[Incident]) -> Noted:
        """Take note of one."""
        body = request.body
        if body.event not in INCIDENTS:
            reason = "there is no such incident"
            raise Refused(reason)
        await self._gate.admit(request)
        NOTED.labels(body.event).inc()
        is_security = body.event in SECURITY_INCIDENTS
        suppressed = self._throttles[is_security].admit(self._now_ms())
        if suppressed is not None:
            tell = self._log.warning if is_security else self._log.info
            tell(
                "signaling.incident_noted",
                incident=body.event,
                sender=request.sender,
                peer=body.peer,
                session=body.session,
                detail=body.detail,
                at_ms=body.at_ms,
                suppressed=suppressed,
            )
        return Noted(event=body.event)
