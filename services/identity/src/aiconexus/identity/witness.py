"""Count what nats-server refuses to agents, and name who tried: the server itself only writes it into its log."""

import asyncio
from contextlib import suppress
from pathlib import Path

from prometheus_client import Counter, Gauge

from aiconexus.bus.clock import now_ms
from aiconexus.identity.logfile import LogFile
from aiconexus.identity.violations import Violation, read_violation
from aiconexus.runtime.logs import Log, Throttle

VIOLATIONS = Counter("aiconexus_identity_bus_violations_total", "What nats-server refused", ["kind", "account"])
FOLLOWED = Gauge("aiconexus_identity_bus_log_followed", "1 in the replica that reads the log of nats-server")
SKIPPED = Counter("aiconexus_identity_bus_log_skipped_bytes_total", "Of that log, left out because there was too much")

LOOK_SECONDS = 0.1
"""Between two pieces, however much there is to read."""
TROUBLE_SECONDS = 5.0
STANDBY_SECONDS = 1.0
"""How soon another replica takes over."""


class Witness:
    """
    Reads the log of the server, if it is the replica on this machine that does.

    Args:
        path: The log.
        log: Says who was refused what, a few times a second.

    """

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._file = LogFile(path)
        self._log = log
        self._throttle = Throttle()
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._is_troubled = False

    def open(self) -> None:
        """Count from now on."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Leave it to another replica."""
        # Not cancelled: a thread may be reading.
        self._ended.set()
        if self._task is not None:
            await self._task
        self._file.close()
        FOLLOWED.set(0)

    async def _follow(self) -> None:
        while not self._ended.is_set():
            pause_seconds = await self._turn()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._ended.wait()

    async def _turn(self) -> float:
        try:
            if not self._file.hold():
                FOLLOWED.set(0)
                return STANDBY_SECONDS
            self._tell(await asyncio.to_thread(self._read))
        except OSError as error:
            self._complain(error)
            return TROUBLE_SECONDS
        FOLLOWED.set(1)
        self._is_troubled = False
        return LOOK_SECONDS

    def _read(self) -> list[Violation]:
        skipped = self._file.skipped_bytes
        found = [violation for line in self._file.read() if (violation := read_violation(line))]
        SKIPPED.inc(self._file.skipped_bytes - skipped)
        return found

    def _tell(self, violations: list[Violation]) -> None:
        for violation in violations:
            VIOLATIONS.labels(violation.kind, violation.account).inc()
            dropped = self._throttle.admit(now_ms())
            if dropped is not None:
                event = "identity.agent_violated" if violation.is_agent else "identity.service_violated"
                self._log.warning(event, kind=violation.kind, agent=violation.user, lines_dropped=dropped)

    def _complain(self, error: OSError) -> None:
        FOLLOWED.set(0)
        if not self._is_troubled:
            self._is_troubled = True
            self._log.warning("identity.bus_log_unreadable", path=str(self._path), reason=error.strerror)
