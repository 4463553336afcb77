"""End what must not go on: the older session of an agent that registered elsewhere, and everything of a void key."""

from prometheus_client import Counter

from aiconexus.bus.session import Session
from aiconexus.identity.announcements import Announcer
from aiconexus.identity.background import Background
from aiconexus.identity.events import Connection
from aiconexus.identity.presence import PresenceStore
from aiconexus.identity.servers import Servers
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.did import token_in
from aiconexus.protocol.records import PresenceRecord, RegistryRecord

TAKEOVERS = Counter("aiconexus_identity_takeovers_total", "Sessions that another one of the same agent displaced")
KICKS = Counter("aiconexus_identity_kicks_total", "Connections that identity had the server end", ["cause"])
TAKEN_OVER = "taken_over"
REVOKED = "revoked"


class Evictions:
    """
    Tells first, then disconnects: who was told does not come back.

    All of it happens after the answer to the request that caused it, so that a new session knows its name when it
    hears of the takeover.

    Args:
        session: In the services' account, on which the announcer speaks.
        announcer: Tells the holders of sessions.
        presences: Who is connected.
        servers: Disconnects.
        background: Does the work.

    """

    def __init__(
        self,
        session: Session,
        announcer: Announcer,
        presences: PresenceStore,
        servers: Servers,
        background: Background,
    ) -> None:
        self._session = session
        self._announcer = announcer
        self._presences = presences
        self._servers = servers
        self._background = background

    def displace(self, older: PresenceRecord, newer: PresenceRecord) -> None:
        """Have every session of an agent closed but the newer one."""
        TAKEOVERS.inc()
        self._background.spawn(self._displace(older, newer))

    def shut_out(self, record: RegistryRecord) -> None:
        """Have every session of a void key closed, and its presence removed."""
        self._background.spawn(self._shut_out(record))

    def kick(self, connection: Connection, cause: str) -> None:
        """Have the server end a connection, if it still stands."""
        self._background.spawn(self._kick(connection, cause))

    async def _displace(self, older: PresenceRecord, newer: PresenceRecord) -> None:
        await self._announcer.took_over(newer)
        if older.road is Road.NATS:
            await self._session.barrier()
            await self._kick(Connection.of_session(older.session), TAKEN_OVER)

    async def _shut_out(self, record: RegistryRecord) -> None:
        token = token_in(record.did)
        await self._announcer.revoked(record)
        presence = await self._presences.find(token)
        if presence is not None:
            await self._presences.leave(token, presence.session)
        await self._session.barrier()
        for connection in await self._servers.connections_of(record.did):
            await self._kick(connection, REVOKED)

    async def _kick(self, connection: Connection, cause: str) -> None:
        if await self._servers.kick(connection):
            KICKS.labels(cause).inc()
