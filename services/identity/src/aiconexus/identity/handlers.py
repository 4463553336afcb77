"""What identity answers when it is asked, verb by verb."""

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Incoming
from aiconexus.identity.attendance import Attendance
from aiconexus.identity.discovery import page, resolve
from aiconexus.identity.events import asking_connection
from aiconexus.identity.evictions import Evictions
from aiconexus.identity.platform import Platform
from aiconexus.identity.presence import PresenceStore
from aiconexus.identity.reception import Reception, Seat, check_register
from aiconexus.identity.registry import Registry
from aiconexus.identity.roster import Roster
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.bodies import (
    Agents,
    Discover,
    Register,
    Registered,
    Resolve,
    Revoke,
    Revoked,
    Road,
    Unregister,
    Unregistered,
)
from aiconexus.protocol.did import token_in
from aiconexus.protocol.edge_bodies import Attach, Attached, Detach, Detached
from aiconexus.protocol.errors import IdentityError, KeyRevoked, MalformedEnvelope, Refused, SessionError
from aiconexus.protocol.seal import Codec, unseal
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk, Request

EDGES_MAY = ("edge",)
PLATFORM_VERB = "platform"


class Arrivals:
    """
    Coming and going: REGISTER, ATTACH, UNREGISTER, DETACH.

    Args:
        context: Of the service.
        reception: Registers.
        presences: Who is connected.
        attendance: Remembers which sessions are over.

    """

    def __init__(
        self,
        context: Context[IdentitySettings],
        reception: Reception,
        presences: PresenceStore,
        attendance: Attendance,
    ) -> None:
        self._context = context
        self._reception = reception
        self._presences = presences
        self._attendance = attendance

    def put_on(self, desk: Desk) -> None:
        """Answer from when the desk opens."""
        desk.on(Register, self.register)
        desk.on(Unregister, self.unregister)
        desk.on(Attach, self.attach, by=EDGES_MAY)
        desk.on(Detach, self.detach, by=EDGES_MAY)

    async def register(self, request: Request[Register]) -> Registered:
        """An agent on NATS comes online, or says something new of itself."""
        connection = asking_connection(request.incoming.headers, request.sender)
        if connection is None:
            reason = "an agent of an edge registers on its WebSocket"
            raise Refused(reason)
        return await self._reception.receive(request.sender, request.body, Seat.of_connection(connection))

    async def attach(self, request: Request[Attach]) -> Attached:
        """An edge brings an agent; the answer to the agent is sealed for it, whatever it is."""
        voice = self._context.voice
        letter = unseal(request.body.register)
        body = check_register(letter, voice.did)
        agent, codec, asked = letter.envelope.sender, Codec(letter.sealed.codec), letter.envelope.id
        seat = Seat(request.body.session, Road.EDGE, request.body.edge)
        try:
            registered = await self._reception.receive_again(letter, body, seat)
        except (IdentityError, SessionError, MalformedEnvelope) as error:
            return Attached(answer=voice.complain(error, agent, codec=codec, in_reply_to=asked))
        return Attached(answer=voice.say(registered, agent, codec=codec, in_reply_to=asked))

    async def unregister(self, request: Request[Unregister]) -> Unregistered:
        """An agent goes offline on purpose: its own session, not one that took its place."""
        connection = asking_connection(request.incoming.headers, request.sender)
        if connection is not None:
            await self._presences.leave(request.token, connection.session)
        else:
            presence = await self._presences.find(request.token)
            if presence is not None and presence.road is Road.EDGE:
                await self._presences.leave(request.token, presence.session)
        return Unregistered(reason=request.body.reason)

    async def detach(self, request: Request[Detach]) -> Detached:
        """A session on an edge is over."""
        self._attendance.ended(request.body.session)
        await self._presences.leave(token_in(request.body.did), request.body.session)
        return Detached(did=request.body.did)


class Enquiries:
    """
    Who is there, who the platform is, and whose key is void: DISCOVER, RESOLVE, REVOKE, PLATFORM.

    Args:
        context: Of the service.
        roster: Everybody.
        registry: Where a revocation is written down.
        evictions: Makes it felt.

    """

    def __init__(
        self,
        context: Context[IdentitySettings],
        roster: Roster,
        registry: Registry,
        evictions: Evictions,
    ) -> None:
        self._session = context.session
        self._platform = Platform(context.voice, context.directory)
        self._roster = roster
        self._registry = registry
        self._evictions = evictions

    def put_on(self, desk: Desk) -> None:
        """Answer from when the desk opens."""
        desk.on(Discover, self.discover)
        desk.on(Resolve, self.resolve)
        desk.on(Revoke, self.revoke)
        desk.on(Discover, self.discover, by=EDGES_MAY)
        desk.on(Resolve, self.resolve, by=EDGES_MAY)
        desk.raw(PLATFORM_VERB, self.platform)

    async def discover(self, request: Request[Discover]) -> Agents:
        """A page of agents."""
        self._check(request.sender)
        return page(self._roster, request.body)

    async def resolve(self, request: Request[Resolve]) -> Agents:
        """What is known of some agents."""
        self._check(request.sender)
        return resolve(self._roster, request.body.dids)

    async def revoke(self, request: Request[Revoke]) -> Revoked:
        """The owner of a key declares it void; the first time counts."""
        record = await self._registry.revoke(request.sender, now_ms())
        self._evictions.shut_out(record)
        return Revoked(did=record.did, at_ms=record.revoked_ms)

    async def platform(self, incoming: Incoming) -> None:
        """Say who the services are, to whoever asks."""
        if incoming.reply:
            await self._session.publish(incoming.reply, self._platform.statement())

    def _check(self, did: str) -> None:
        if self._roster.is_revoked(did):
            raise KeyRevoked(did)
