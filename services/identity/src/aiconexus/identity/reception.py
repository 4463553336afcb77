"""
Register agents, on both roads.

On NATS the server authenticated the connection and says which one it is. On the edge the agent proved its key to the
edge, whose word we take for the session; what the agent says of itself it signed all the same.
"""

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.identity.events import Connection
from aiconexus.identity.evictions import Evictions
from aiconexus.identity.presence import PresenceStore
from aiconexus.identity.registry import Registry
from aiconexus.identity.roster import Roster
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol import limits
from aiconexus.protocol.bodies import Register, Registered, Road
from aiconexus.protocol.did import key_text_of, token_in
from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import (
    EnvelopeStale,
    KeyRevoked,
    MalformedEnvelope,
    TakenOver,
    UnknownAgent,
    UnsupportedType,
)
from aiconexus.protocol.records import PresenceRecord
from aiconexus.protocol.seal import Letter

LIMITS = {
    "envelope_max_bytes": limits.ENVELOPE_MAX_BYTES,
    "text_max_bytes": limits.TEXT_MAX_BYTES,
    "lifetime_max_ms": limits.LIFETIME_MAX_MS,
    "freshness_ms": limits.FRESHNESS_MS,
    "page_max": limits.PAGE_MAX,
    "watch_max": limits.WATCH_MAX,
    "receipt_items_max": limits.RECEIPT_ITEMS_MAX,
    "capabilities_max": limits.CAPABILITIES_MAX,
    "callers_max": limits.CALLERS_MAX,
}
"""What an agent is told when it registers."""


class Seat(msgspec.Struct, frozen=True):
    """Where an agent wants to be present."""

    session: str
    road: Road
    instance: str

    @classmethod
    def of_connection(cls, connection: Connection) -> "Seat":
        """On NATS."""
        return cls(connection.session, Road.NATS, connection.server)


def check_register(letter: Letter, platform: str) -> Register:
    """
    Read the REGISTER that an edge hands over.

    Raises:
        EnvelopeError: If it is none, or meant for somebody else.

    """
    envelope = letter.envelope
    body = letter.body
    if not isinstance(body, Register):
        raise UnsupportedType(envelope.type)
    if envelope.recipient != platform:
        reason = "REGISTER is addressed to the platform's DID"
        raise MalformedEnvelope(reason)
    return body


def check_key(body: Register, did: str) -> None:
    """
    An agent speaks for its own key only.

    Raises:
        MalformedEnvelope: If it names another.

    """
    if body.public_key != key_text_of(did):
        reason = "public_key is not the key of the sender's DID"
        raise MalformedEnvelope(reason)


class Reception:
    """
    Where agents arrive.

    Args:
        settings: Of the service.
        roster: Everybody.
        registry: Where they are written down.
        presences: Likewise, with their sessions.
        evictions: Ends older sessions.

    """

    def __init__(
        self,
        settings: IdentitySettings,
        roster: Roster,
        registry: Registry,
        presences: PresenceStore,
        evictions: Evictions,
    ) -> None:
        self._settings = settings
        self._roster = roster
        self._registry = registry
        self._presences = presences
        self._evictions = evictions

    async def receive(self, did: str, body: Register, seat: Seat) -> Registered:
        """
        Register an agent, and make this its one live session.

        Raises:
            MalformedEnvelope: If it names a foreign key.
            KeyRevoked: If its key is void.
            TakenOver: If another session has displaced this one before.
            Refused: If it is new and there is no room.
            BusError: If it could not be written down.

        """
        check_key(body, did)
        self._check_seat(did, seat)
        await self._registry.enroll(did, body, now_ms())
        return await self._seat(did, seat)

    async def receive_again(self, letter: Letter, body: Register, seat: Seat) -> Registered:
        """
        Attach an agent again whose edge was away: its REGISTER may be old, and then changes no record.

        Raises:
            UnknownAgent: If it has never been registered.
            AiconexusError: As ``receive`` raises it.

        """
        did = letter.envelope.sender
        try:
            check_fresh(letter.envelope, now_ms())
        except EnvelopeStale:
            known = self._roster.of_did(did)
            if known is None or known.record is None:
                raise UnknownAgent(did) from None
            check_key(body, did)
            self._check_seat(did, seat)
            return await self._seat(did, seat)
        return await self.receive(did, body, seat)

    def _check_seat(self, did: str, seat: Seat) -> None:
        if self._roster.is_revoked(did):
            raise KeyRevoked(did)
        if seat.session in self._roster.displaced:
            presence = self._roster.presence(token_in(did))
            raise TakenOver(presence.session if presence is not None else "another session")

    async def _seat(self, did: str, seat: Seat) -> Registered:
        now = now_ms()
        arrival = await self._presences.arrive(
            PresenceRecord(did=did, session=seat.session, road=seat.road, instance=seat.instance, since_ms=now)
        )
        if arrival.displaced is not None:
            self._evictions.displace(arrival.displaced, arrival.presence)
        return Registered(
            session=seat.session,
            expires_ms=now + int(self._settings.agent_timeout_seconds * 1000),
            heartbeat_seconds=self._settings.heartbeat_seconds,
            limits=LIMITS,
        )
