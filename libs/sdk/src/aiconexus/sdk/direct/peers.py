"""All peers of one agent: whom it asked for, and who asks for it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from aiconexus.protocol import sdp
from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.direct_errors import ConnectionFailed, DescriptionRefused, SignalingError, UnexpectedSignal
from aiconexus.protocol.errors import AiconexusError, Refused, TooManyConnections
from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.signal_bodies import Answer, Bye, IceCandidate, Offer
from aiconexus.sdk.delivery import Delivery
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.offers import Proposal
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.relation import CLOSE, Relation
from aiconexus.sdk.direct.rotation import Rotation, rotate
from aiconexus.sdk.direct.states import ConnectionState
from aiconexus.sdk.handlers import invoke

WAITING_MAX = 64
SENDERS_MAX = 1024
CLOSE_SECONDS = 5.0


class Peers:
    """
    The table.

    Args:
        local: Our side.
        on_peer: Told of each peer that is connected for the first time.
        on_error: Told of signals that are not acceptable.

    """

    def __init__(self, local: Local, *, on_peer: Callable[[Peer], None], on_error: Callable[[Exception], None]) -> None:
        self.local = local
        self.relations: dict[str, Relation] = {}
        self._on_peer = on_peer
        self._on_error = on_error
        self._lanes: dict[str, deque[Delivery]] = {}

    async def connect(self, did: str, timeout_seconds: float) -> Peer:
        """
        Have a direct connection with an agent; the present one, if there is one.

        Raises:
            ConnectionFailed: If none came about; ``phase`` says how far it got.
            HelloRefused: If whoever answered is not that agent.
            RemoteProblem: If the agent is not there, or refuses.
            TooManyConnections: If there is no room for another peer.
            Refused: If that agent is ourselves, or we are closed.

        """
        if did == self.local.did:
            raise Refused("an agent is no peer of its own")
        if self.local.is_closed:
            raise Refused("the agent is closed")
        relation = self.relations.get(did) or self._add(did)
        relation.is_wanted = True
        if relation.state in (ConnectionState.NEW, ConnectionState.DISCONNECTED):
            relation.attempt("connect" if relation.state is ConnectionState.NEW else "heal")
        try:
            async with asyncio.timeout(timeout_seconds):
                await relation.wait_connected()
        except TimeoutError as error:
            raise ConnectionFailed(did, relation.phase, f"not connected after {timeout_seconds:g} s") from error
        return relation.peer

    def take(self, delivery: Delivery) -> None:
        """Take a signal of another agent, in its turn."""
        if self.local.is_closed:
            return
        lane = self._lanes.get(delivery.sender)
        if lane is not None:
            if len(lane) < WAITING_MAX:
                lane.append(delivery)
        elif len(self._lanes) < SENDERS_MAX:
            self._lanes[delivery.sender] = deque([delivery])
            self.local.crew.start(self._drive(delivery.sender), f"signals-{delivery.sender}")

    async def rotate(self, *, emergency: bool) -> list[Rotation]:
        """Give every peer that is connected fresh keys."""
        return await rotate([each for each in self.relations.values() if each.current is not None], emergency=emergency)

    async def close(self) -> None:
        """Leave everybody, and wait until nothing of any connection is left."""
        self.local.is_closed = True
        closing = [asyncio.ensure_future(each.close(CLOSE)) for each in tuple(self.relations.values())]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_SECONDS)
        await self.local.crew.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.local.graves.wait()
        await self.local.graves.close()
        await self.local.close_connections()

    async def _drive(self, sender: str) -> None:
        lane = self._lanes[sender]
        try:
            while lane:
                await self._hear(lane.popleft())
        finally:
            del self._lanes[sender]

    async def _hear(self, delivery: Delivery) -> None:
        relation = self.relations.get(delivery.sender)
        try:
            match delivery.body:
                case Offer() as offer:
                    await self._hear_offer(delivery.sender, Proposal(offer, offer.session or delivery.id, delivery.id))
                case Answer() as answer if relation is not None:
                    relation.take_answer(answer)
                case IceCandidate() as candidates if relation is not None:
                    await relation.take_candidates(candidates)
                case Bye() as bye if relation is not None:
                    relation.take_bye(bye)
        except SignalingError as error:
            self._on_error(error)

    async def _hear_offer(self, sender: str, proposal: Proposal) -> None:
        try:
            self.local.budget.admit(sender, asyncio.get_running_loop().time())
            sdp.read_description(proposal.offer.sdp)
            await self._check_accepted(sender)
            relation = self.relations.get(sender) or self._add(sender)
        except (DescriptionRefused, RateLimited, Refused, TooManyConnections) as error:
            await self._refuse(sender, proposal.session, error)
            return
        if proposal.session in (relation.session, relation.pending_session):
            raise UnexpectedSignal(relation.state, Offer.TYPE)
        relation.take_offer(proposal)

    async def _check_accepted(self, sender: str) -> None:
        """Ask the application, in a thread if it may block."""
        accept = self.local.settings.accept
        if accept is None or sender in self.relations:
            return
        task = invoke(accept, sender)
        await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._on_error(error)
        if error is not None or not task.result():
            raise Refused("the agent does not accept this connection")

    async def _refuse(self, sender: str, session: str, error: AiconexusError) -> None:
        """Say no, and why, so that nobody has to wait."""
        if isinstance(error, DescriptionRefused):
            self.local.incidents.note(error.event, sender, session, str(error))
        self._on_error(error)
        try:
            await self.local.signal(
                sender, Bye(session=session, reason=str(error)[:256], problem=problem_of(error).name)
            )
        except AiconexusError:
            return

    def _add(self, did: str) -> Relation:
        if len(self.relations) >= self.local.settings.peers_max:
            self._make_room()
        relation = Relation(self.local, did, on_connected=lambda each: self._on_peer(each.peer), on_gone=self._remove)
        self.relations[did] = relation
        return relation

    def _make_room(self) -> None:
        """A peer that is not there any more gives way, or else a stranger that has tried to connect for longest."""
        error = TooManyConnections(self.local.settings.peers_max)
        for relation in self.relations.values():
            if relation.state is ConnectionState.DISCONNECTED and not relation.is_negotiating:
                relation.note_left("there was no room for one that is away")
                return
        for relation in self.relations.values():
            session = relation.pending_session
            if relation.state is ConnectionState.CONNECTING and not relation.is_wanted and session is not None:
                relation.give_up(error)
                self.local.crew.start(self._refuse(relation.did, session, error), f"no-room-{relation.did}")
                return
        raise error

    def _remove(self, relation: Relation) -> None:
        if self.relations.get(relation.did) is relation:
            del self.relations[relation.did]
