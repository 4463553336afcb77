"""What a process knows of its connection to the bus."""

import time

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Session
from aiconexus.runtime.health import Component, Status
from aiconexus.runtime.logs import Log, Throttle
from aiconexus.runtime.metrics import BUS_CONNECTED, BUS_ERRORS, BUS_LOSSES

REASON_CHARACTERS = 200
ANSWER_SECONDS = 3.0


class BusWatch:
    """
    Logs and counts what happens to the connection, and answers for it in the health report.

    Args:
        service: The first word of the events.
        log: Of the process.

    """

    def __init__(self, service: str, log: Log) -> None:
        self._service = service
        self._log = log
        self._throttle = Throttle(1)
        self._connected = False
        self._session: Session | None = None

    def follow(self, session: Session) -> None:
        """Answer for this session, which is connected."""
        self._session = session
        self.up()

    def up(self) -> None:
        """The connection is there."""
        self._connected = True
        BUS_CONNECTED.set(1)
        self._log.info(f"{self._service}.bus_connected")

    def down(self) -> None:
        """The connection was lost."""
        if self._connected:
            BUS_LOSSES.inc()
            self._log.warning(f"{self._service}.bus_lost")
        self._connected = False
        BUS_CONNECTED.set(0)

    def error(self, error: Exception) -> None:
        """The bus complained, or a handler of a subscription raised."""
        BUS_ERRORS.inc()
        suppressed = self._throttle.admit(now_ms())
        if suppressed is not None:
            reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]
            trace = {"exc_info": error} if error.__traceback__ is not None and self._connected else {}
            self._log.warning(f"{self._service}.bus_failed", reason=reason, suppressed=suppressed, **trace)

    async def check(self) -> Component:
        """
        Healthy if a server answers.

        Raises:
            BusUnavailable: If it is connected but silent.

        """
        if self._session is None or not self._connected:
            return Component(status=Status.UNHEALTHY, reason="not connected")
        started = time.perf_counter()
        await self._session.barrier(ANSWER_SECONDS)
        return Component(status=Status.HEALTHY, detail={"round_trip_seconds": round(time.perf_counter() - started, 6)})
