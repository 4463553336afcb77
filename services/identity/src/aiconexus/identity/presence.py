"""
The bucket of who is connected.

Several replicas see the same connection go; whichever write comes first tells the watchers, and the others find
nothing left to do. So nothing here needs a leader.
"""

import msgspec
from msgspec.structs import replace

from aiconexus.bus.buckets import Bucket
from aiconexus.identity.announcements import Announcer
from aiconexus.identity.roster import Roster
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.did import token_in
from aiconexus.protocol.errors import WrongRevision
from aiconexus.protocol.records import PRESENCE, PresenceRecord

ATTEMPTS = 16

read_presence = msgspec.msgpack.Decoder(PresenceRecord).decode
_encode = msgspec.msgpack.Encoder().encode


class Arrival(msgspec.Struct, frozen=True):
    """What became of a session that registered: what is recorded now, and whom it displaced."""

    presence: PresenceRecord
    displaced: PresenceRecord | None = None
    is_renewal: bool = False


class _Read(msgspec.Struct, frozen=True):
    """What is recorded, as far as we know; ``revision`` 0 means that nothing ever was."""

    presence: PresenceRecord | None
    revision: int


def arrived(previous: PresenceRecord | None, presence: PresenceRecord, renewal_ms: float) -> Arrival:
    """
    Decide what a registration changes.

    Args:
        previous: What is recorded.
        presence: The session that registers, since now.
        renewal_ms: How old the last sign of life may be before a renewal is written down.

    """
    if previous is None:
        return Arrival(presence=presence)
    if previous.session != presence.session:
        return Arrival(presence=presence, displaced=previous)
    # An edge registers its agents again after it was away; that must undo a departure that is under way.
    if previous.road is Road.NATS and presence.since_ms - last_sign_ms(previous) < renewal_ms:
        return Arrival(presence=previous, is_renewal=True)
    return Arrival(presence=replace(previous, renewed_ms=presence.since_ms), is_renewal=True)


def last_sign_ms(presence: PresenceRecord) -> int:
    """When the session last registered."""
    return presence.renewed_ms or presence.since_ms


class PresenceStore:
    """
    Reads and writes who is connected.

    Args:
        bucket: PRESENCE.
        roster: Learns at once what was written; what it knows saves a read.
        announcer: Tells the watchers.
        renewal_ms: See ``arrived``.

    """

    def __init__(self, bucket: Bucket, roster: Roster, announcer: Announcer, renewal_ms: float) -> None:
        self._bucket = bucket
        self._roster = roster
        self._announcer = announcer
        self._renewal_ms = renewal_ms

    async def find(self, token: str) -> PresenceRecord | None:
        """
        Where an agent is connected, by the bucket.

        Raises:
            BusError: If it cannot be read.

        """
        return (await self._read(token)).presence

    async def arrive(self, presence: PresenceRecord) -> Arrival:
        """
        Make a session the one live session of its agent.

        Raises:
            BusError: If nothing was written.

        """
        token = token_in(presence.did)
        read = self._remembered(token)
        if read.presence is not None:
            read = await self._read(token)
        for _ in range(ATTEMPTS):
            arrival = arrived(read.presence, presence, self._renewal_ms)
            if arrival.presence is read.presence:
                return arrival
            try:
                written = await self._write(token, arrival.presence, read.revision)
            except WrongRevision:
                read = await self._read(token)
                continue
            self._roster.apply_presence(token, arrival.presence, written)
            if not arrival.is_renewal:
                await self._announcer.came(arrival.presence)
            return arrival
        raise WrongRevision(PRESENCE, token)

    async def leave(self, token: str, session: str, revision: int = 0) -> None:
        """
        Forget a session, unless somebody else did or another one has taken its place.

        Args:
            token: Whose.
            session: Which one.
            revision: Only if nothing was written since, not even a renewal; 0 forgets it in any case.

        Raises:
            BusError: If nothing was written.

        """
        read = self._remembered(token)
        for _ in range(ATTEMPTS):
            if read.presence is not None and read.presence.session == session:
                try:
                    written = await self._bucket.delete(token, revision or read.revision)
                except WrongRevision:
                    if revision:
                        return
                else:
                    self._roster.apply_presence(token, None, written)
                    await self._announcer.went(read.presence)
                    return
            read = await self._read(token)
            if read.presence is None or read.presence.session != session:
                return
        raise WrongRevision(PRESENCE, token)

    def _remembered(self, token: str) -> _Read:
        known = self._roster.get(token)
        return _Read(known.presence, known.presence_revision) if known is not None else _Read(None, 0)

    async def _read(self, token: str) -> _Read:
        entry = await self._bucket.get(token)
        return _Read(read_presence(entry.value), entry.revision) if entry is not None else _Read(None, 0)

    async def _write(self, token: str, presence: PresenceRecord, revision: int) -> int:
        if revision:
            return await self._bucket.update(token, _encode(presence), revision)
        return await self._bucket.create(token, _encode(presence))
