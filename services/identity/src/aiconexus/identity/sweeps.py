"""
Compare what is recorded with what the servers say, from time to time and after every absence of ours.

The events of the servers come at most once: what they did not tell is found here.
"""

import asyncio
from collections.abc import Container
from contextlib import suppress
from enum import Enum

from aiconexus.bus.clock import now_ms
from aiconexus.identity.departures import Departure, Departures
from aiconexus.identity.events import Connection
from aiconexus.identity.leases import Leases
from aiconexus.identity.presence import last_sign_ms
from aiconexus.identity.roster import Roster
from aiconexus.identity.servers import Census, Servers
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.records import EDGE_LEASE_SECONDS, PresenceRecord
from aiconexus.runtime.logs import Log

SETTLING_MS = 5_000
"""Clocks differ, and a server may have come up while the others were counted."""
CHECKS_AT_ONCE = 64
RETRY_SECONDS = 2.0


class Verdict(Enum):
    """What a sweep thinks of a presence; who is ``DOUBTFUL`` is looked at closely."""

    PRESENT = "present"
    DOUBTFUL = "doubtful"
    GONE = "gone"


def judge_native(presence: PresenceRecord, census: Census, now: int, timeout_ms: float) -> Verdict:
    """
    Whether an agent on NATS is still there.

    Args:
        presence: What is recorded.
        census: What the servers say.
        now: Milliseconds since the epoch.
        timeout_ms: How long we believe in a session of which no server tells anything.

    """
    listed = census.connections.get(presence.instance)
    age_ms = now - last_sign_ms(presence)
    if listed is not None:
        # A list in pages may miss what moved while it was read.
        return Verdict.PRESENT if Connection.of_session(presence.session) in listed else Verdict.DOUBTFUL
    if census.is_complete:
        return Verdict.GONE if age_ms > SETTLING_MS else Verdict.PRESENT
    return Verdict.GONE if age_ms > timeout_ms else Verdict.PRESENT


def judge_edge(presence: PresenceRecord, live_edges: Container[str], now: int) -> Verdict:
    """Whether the edge of an agent is still there; it may have begun a moment ago."""
    is_young = now - last_sign_ms(presence) <= EDGE_LEASE_SECONDS * 1000
    return Verdict.PRESENT if is_young or presence.instance in live_edges else Verdict.GONE


class Sweeper:
    """
    Sweeps until it is closed.

    Args:
        roster: What is recorded.
        servers: Can be asked.
        departures: Removes who is gone.
        leases: The edges that live.
        hurry: Set when we may have missed something; the next sweep comes at once.
        interval_seconds: Between two sweeps.
        timeout_seconds: See ``judge_native``.
        log: Says what could not be found out.

    """

    def __init__(
        self,
        roster: Roster,
        servers: Servers,
        departures: Departures,
        leases: Leases,
        hurry: asyncio.Event,
        *,
        interval_seconds: float,
        timeout_seconds: float,
        log: Log,
    ) -> None:
        self._roster = roster
        self._servers = servers
        self._departures = departures
        self._leases = leases
        self._interval_seconds = interval_seconds
        self._timeout_ms = timeout_seconds * 1000
        self._log = log
        self._hurry = hurry
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Sweep now, and from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Sweep no longer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> int:
        """
        Have everybody removed who is gone.

        Returns:
            How many.

        Raises:
            BusError: If no server answers.

        """
        before = [(token, presence, self._revision(token)) for token, presence in self._roster.present()]
        census = await self._servers.census()
        edges = {presence.instance for _, presence, _ in before if presence.road is Road.EDGE}
        live_edges = [edge for edge in edges if await self._is_alive(edge)]
        gone: list[Departure] = []
        doubtful: list[Departure] = []
        for token, presence, revision in before:
            verdict = self._judge(presence, census, live_edges)
            if verdict is not Verdict.PRESENT:
                departure = Departure(token, presence.session, revision if presence.road is Road.EDGE else 0)
                (gone if verdict is Verdict.GONE else doubtful).append(departure)
        gone += await self._confirmed(doubtful)
        for departure in gone:
            await self._departures.submit(departure)
        return len(gone)

    async def _run(self) -> None:
        while True:
            self._hurry.clear()
            wait_seconds = self._interval_seconds
            try:
                gone = await self.sweep()
            except BusError as error:
                wait_seconds = min(wait_seconds, RETRY_SECONDS)
                self._log.warning("identity.sweep_postponed", reason=str(error), wait_seconds=wait_seconds)
            else:
                self._log.debug("identity.sweep_completed", gone=gone)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._hurry.wait()

    def _judge(self, presence: PresenceRecord, census: Census, live_edges: Container[str]) -> Verdict:
        if presence.road is Road.NATS:
            return judge_native(presence, census, now_ms(), self._timeout_ms)
        return judge_edge(presence, live_edges, now_ms())

    async def _is_alive(self, edge: str) -> bool:
        try:
            return await self._leases.is_held(edge)
        except BusError:
            # The bucket vanished with the servers' memory, and the edges have not made it again yet.
            return await self._servers.has_edge(edge)

    async def _confirmed(self, doubtful: list[Departure]) -> list[Departure]:
        confirmed: list[Departure] = []
        for start in range(0, len(doubtful), CHECKS_AT_ONCE):
            some = doubtful[start : start + CHECKS_AT_ONCE]
            questions = (self._servers.is_connected(Connection.of_session(each.session)) for each in some)
            answers = await asyncio.gather(*questions)
            confirmed += [each for each, is_connected in zip(some, answers, strict=True) if not is_connected]
        return confirmed

    def _revision(self, token: str) -> int:
        known = self._roster.get(token)
        return known.presence_revision if known is not None else 0
