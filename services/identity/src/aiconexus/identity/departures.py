"""Remove the presences of sessions that are over, many at the same time."""

import asyncio
from contextlib import suppress

import msgspec

from aiconexus.identity.presence import PresenceStore
from aiconexus.protocol.errors import BusError
from aiconexus.runtime.logs import Log

WAITING_MAX = 65_536
WORKERS = 32


class Departure(msgspec.Struct, frozen=True):
    """A session that is over; see ``PresenceStore.leave`` for ``revision``."""

    token: str
    session: str
    revision: int = 0


class Departures:
    """
    A bounded queue and its workers. What does not fit, or fails, is found again by the next sweep.

    Args:
        presences: Where they are removed.
        log: Says what could not be removed.

    """

    def __init__(self, presences: PresenceStore, log: Log) -> None:
        self._presences = presences
        self._log = log
        self._waiting: asyncio.Queue[Departure] = asyncio.Queue(WAITING_MAX)
        self._workers: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Start to work."""
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work()) for _ in range(WORKERS)]

    async def close(self) -> None:
        """Stop; the other replicas see the same departures."""
        for worker in self._workers:
            worker.cancel()
        for worker in self._workers:
            with suppress(asyncio.CancelledError):
                await worker

    def note(self, departure: Departure) -> None:
        """Have a session removed soon."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(departure)

    async def submit(self, departure: Departure) -> None:
        """Likewise, but wait for room."""
        await self._waiting.put(departure)

    async def _work(self) -> None:
        while True:
            departure = await self._waiting.get()
            try:
                await self._presences.leave(departure.token, departure.session, departure.revision)
            except BusError as error:
                self._log.warning("identity.departure_postponed", reason=str(error))
