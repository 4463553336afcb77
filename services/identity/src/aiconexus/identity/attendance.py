"""
Notice who comes and goes: the server's events, the edges' leases, and what other replicas write.

Events come at most once and in any order relative to our own requests, so each of them is only a reason to look.
"""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Incoming, Session
from aiconexus.identity.background import Background
from aiconexus.identity.departures import Departure, Departures
from aiconexus.identity.events import AGENTS, SERVICES, read_event
from aiconexus.identity.evictions import REVOKED, Evictions
from aiconexus.identity.presence import last_sign_ms, read_presence
from aiconexus.identity.registry import read_record
from aiconexus.identity.roster import RECENT_SESSIONS, Roster
from aiconexus.identity.servers import Servers
from aiconexus.identity.tokens import Recent
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.records import EDGE_LEASE_SECONDS

EDGE_GRACE_SECONDS = 0.3
"""An edge that comes back this fast keeps its agents; everybody else is told within a second."""

PRESENCES = Gauge("aiconexus_identity_presences", "Agents that are connected", ["road"])
REGISTRY_AGENTS = Gauge("aiconexus_identity_registry_agents", "Agents that ever registered")


class Attendance:
    """
    Keeps roster and presences in step with what happens.

    Args:
        roster: Everybody.
        departures: Removes who is gone.
        servers: Can be asked.
        evictions: Disconnects.
        background: For what takes longer than an event may.

    """

    def __init__(
        self,
        roster: Roster,
        departures: Departures,
        servers: Servers,
        evictions: Evictions,
        background: Background,
    ) -> None:
        self._roster = roster
        self._departures = departures
        self._servers = servers
        self._evictions = evictions
        self._background = background
        self._gone = Recent(RECENT_SESSIONS)

    async def open(self, system: Session) -> None:
        """Listen to the server's events."""
        handlers: list[tuple[str, str, Callable[[Incoming], Awaitable[None]]]] = [
            (AGENTS, "CONNECT", self._on_agent_connected),
            (AGENTS, "DISCONNECT", self._on_agent_disconnected),
            (SERVICES, "DISCONNECT", self._on_service_disconnected),
        ]
        for account, event, handler in handlers:
            await system.subscribe(subjects.account_events(account, event), handler)
        await system.barrier()

    def ended(self, session: str) -> None:
        """Remember that a session is over, in case that its registration is still under way."""
        self._gone.add(session)

    def on_record(self, token: str, value: bytes | None, revision: int) -> None:
        """Something was written to the registry."""
        record = read_record(value) if value is not None else None
        self._roster.apply_record(token, record, revision)
        self._review(token)
        REGISTRY_AGENTS.set(self._roster.size)

    def on_presence(self, token: str, value: bytes | None, revision: int) -> None:
        """Something was written about who is connected."""
        self._roster.apply_presence(token, read_presence(value) if value is not None else None, revision)
        self._review(token)
        for road in Road:
            PRESENCES.labels(road).set(self._roster.count_present(road))

    def on_lease(self, edge: str, value: bytes | None, _: int) -> None:
        """An edge gave a sign of life, or has not for too long."""
        if value is None:
            quiet_since_ms = now_ms() - EDGE_LEASE_SECONDS * 1000
            self._depart([each for each in self._at_edge(edge) if self._last_sign_ms(each) <= quiet_since_ms])

    def _review(self, token: str) -> None:
        """Remove the presence of a session that ended before it was written down, or whose key is void."""
        known = self._roster.get(token)
        presence = known.presence if known is not None else None
        if presence is not None and (presence.session in self._gone or self._roster.is_revoked(presence.did)):
            self._departures.note(Departure(token, presence.session))

    async def _on_agent_connected(self, incoming: Incoming) -> None:
        event = read_event(incoming.data)
        self._servers.learn(event)
        # The replica that let it in may not have known yet.
        if self._roster.is_revoked(event.client.user):
            self._evictions.kick(event.connection, REVOKED)

    async def _on_agent_disconnected(self, incoming: Incoming) -> None:
        event = read_event(incoming.data)
        session = event.connection.session
        self.ended(session)
        token = event.client.user.removeprefix(PREFIX)
        presence = self._roster.presence(token)
        if presence is not None and presence.session == session:
            self._departures.note(Departure(token, session))

    async def _on_service_disconnected(self, incoming: Incoming) -> None:
        edge = read_event(incoming.data).edge
        if edge is not None:
            self._background.spawn(self._look_for(edge))

    async def _look_for(self, edge: str) -> None:
        """Remove the agents of an edge that does not come back at once."""
        await asyncio.sleep(EDGE_GRACE_SECONDS)
        # Whoever is registered again while we ask is left alone.
        departures = self._at_edge(edge)
        if departures and not await self._servers.has_edge(edge):
            self._depart(departures)

    def _at_edge(self, edge: str) -> list[Departure]:
        departures = []
        for token in self._roster.present_at(Road.EDGE, edge):
            known = self._roster.get(token)
            if known is not None and known.presence is not None:
                departures.append(Departure(token, known.presence.session, known.presence_revision))
        return departures

    def _last_sign_ms(self, departure: Departure) -> int:
        presence = self._roster.presence(departure.token)
        return last_sign_ms(presence) if presence is not None else 0

    def _depart(self, departures: list[Departure]) -> None:
        for departure in departures:
            self._departures.note(departure)
