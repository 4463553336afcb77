"""What identity tells without being asked, sealed: to whoever watches, and to the holders of an agent's sessions."""

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Session
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Presence, Revoked, Takeover
from aiconexus.protocol.did import token_in
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES
from aiconexus.protocol.records import PresenceRecord, RegistryRecord
from aiconexus.runtime.voice import Voice


class Announcer:
    """
    Publishes in the platform's name; nobody answers, and nothing is stored.

    Args:
        session: In the services' account.
        voice: Identity's.

    """

    def __init__(self, session: Session, voice: Voice) -> None:
        self._session = session
        self._voice = voice

    async def came(self, presence: PresenceRecord) -> None:
        """Tell the watchers where an agent is now."""
        await self._tell(presence, online=True, at_ms=presence.since_ms)

    async def went(self, presence: PresenceRecord) -> None:
        """Tell the watchers that an agent is gone."""
        await self._tell(presence, online=False, at_ms=now_ms())

    async def took_over(self, presence: PresenceRecord) -> None:
        """Tell every holder of a session of this agent which one counts."""
        sealed = self._voice.say(Takeover(session=presence.session), presence.did, limit=ENVELOPE_MAX_BYTES)
        await self._session.publish(subjects.inbox_live(token_in(presence.did)), sealed)

    async def revoked(self, record: RegistryRecord) -> None:
        """Tell every holder of a session of this agent that its key is void."""
        body = Revoked(did=record.did, at_ms=record.revoked_ms)
        sealed = self._voice.say(body, record.did, limit=ENVELOPE_MAX_BYTES)
        await self._session.publish(subjects.inbox_live(token_in(record.did)), sealed)

    async def _tell(self, presence: PresenceRecord, *, online: bool, at_ms: int) -> None:
        body = Presence(did=presence.did, online=online, at_ms=at_ms, road=presence.road, session=presence.session)
        sealed = self._voice.say(body, None, limit=ENVELOPE_MAX_BYTES)
        await self._session.publish(subjects.presence(token_in(presence.did)), sealed)
