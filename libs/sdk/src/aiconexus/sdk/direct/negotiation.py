"""One try to get a connection: our offer or our answer, and TURN once it is plain that nothing else works."""

import asyncio
from collections.abc import Sequence

from aiconexus.bus.clock import new_id
from aiconexus.protocol import sdp
from aiconexus.protocol.direct_errors import ConnectionFailed
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.signal_bodies import IceCandidate, IceServer
from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.hello import ANSWERER, OFFERER
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.offers import Proposal
from aiconexus.sdk.direct.owner import Owner
from aiconexus.sdk.direct.states import Step

TURN, DIRECT = "turn", "direct"
TURN_OF_OFFERER_SECONDS = 1.0
"""The answerer offers TURN by itself if the offerer has not done so by then."""
EARLY_MAX = 16
"""Batches of candidates that may come while we still look for servers."""


class Negotiation:
    """
    The present try.

    Args:
        local: Our side.
        owner: Told of the connection.
        did: The peer.
        replaces: The session that this is to take the place of.
        proposed: The session of the offer that it is to answer.

    """

    def __init__(
        self, local: Local, owner: Owner, did: str, replaces: str | None, *, proposed: str | None = None
    ) -> None:
        self._local = local
        self._owner = owner
        self._did = did
        self._replaces = replaces
        self._proposed = proposed
        self.ours = False
        self.reason = ""
        self.connection: Connection | None = None
        self._abandoned: AiconexusError | None = None
        self._early: list[IceCandidate] = []

    @property
    def step(self) -> Step:
        """How far it has come."""
        return Step.NEW if self.connection is None else self.connection.step

    @property
    def session(self) -> str | None:
        """Which session it is about at present."""
        return self._proposed if self.connection is None else self.connection.session

    def abandon(self, error: AiconexusError) -> None:
        """Stop: whoever runs it gets the error."""
        self._abandoned = error
        if self.connection is not None:
            self.connection.end(error)

    async def take_candidates(self, body: IceCandidate) -> None:
        """
        Take trickled candidates; those of an offer to which there is no connection yet wait for it.

        Raises:
            DescriptionRefused: If they are none, or too many.

        """
        if self.connection is None:
            self._early = [*self._early, body][-EARLY_MAX:]
        elif self.connection.session == body.session:
            await self.connection.take_candidates(body)

    async def offer(self, reason: str, *, with_turn: bool) -> Connection:
        """
        Offer a connection and bring it about.

        Returns:
            It; both HELLOs are verified.

        Raises:
            AiconexusError: If it does not come about; the stack's part is being closed.

        """
        self.ours, self.reason = True, reason
        with_turn = with_turn or self._local.settings.policy == "relay"
        connection = await self._make(OFFERER, new_id(), with_turn=with_turn)
        try:
            await connection.offer(self._replaces, reason)
            if await self._is_up(connection, patient=with_turn or reason == DIRECT):
                self._check_road(connection, reason)
                await connection.greet()
                return connection
        except BaseException:
            self._local.bury(connection)
            raise
        return await self._with_turn(connection)

    async def answer(self, proposal: Proposal) -> Connection:
        """
        Answer an offer and bring the connection about.

        Returns:
            It; both HELLOs are verified.

        Raises:
            AiconexusError: If it does not come about; the stack's part is being closed.

        """
        offer = proposal.offer
        self.reason = offer.reason or ""
        relayed = "relay" in sdp.read_description(offer.sdp).candidates
        with_turn = relayed or offer.reason == TURN or self._local.settings.policy == "relay"
        connection = await self._make(ANSWERER, proposal.session, with_turn=with_turn)
        try:
            for body in self._early:
                await self.take_candidates(body)
            await connection.answer(offer, proposal.id)
            if await self._is_up(connection, patient=with_turn or self.reason == DIRECT):
                self._check_road(connection, self.reason)
                await connection.greet()
                return connection
        except BaseException:
            self._local.bury(connection)
            raise
        return await self._with_turn(connection)

    async def _make(self, role: str, session: str, *, with_turn: bool) -> Connection:
        servers = await self._servers(with_turn=with_turn)
        if self._abandoned is not None:
            raise self._abandoned
        if self._local.is_closed:
            raise ConnectionFailed(self._did, "servers", "the agent is closed")
        self.connection = Connection(
            self._local, self._owner, did=self._did, session=session, role=role, servers=servers
        )
        return self.connection

    async def _servers(self, *, with_turn: bool) -> Sequence[IceServer]:
        """What the stack may use; with TURN, the TURN server tells our public address as well."""
        servers = self._local.servers
        if not with_turn:
            return await servers.stun()
        if self._local.settings.policy == "relay":
            return await servers.turn()
        stun, turn = await asyncio.gather(servers.stun(), servers.turn())
        return (*stun, *turn)

    async def _is_up(self, connection: Connection, *, patient: bool) -> bool:
        """Wait for the transport; without TURN, not for long if there is a TURN server."""
        if patient:
            return await connection.wait_up()
        failed: ConnectionFailed | None = None
        try:
            if await self._comes_up(connection):
                return True
        except ConnectionFailed as error:
            if self._abandoned is not None:
                raise
            failed = error
        has_turn = bool(await self._local.servers.turn())
        missing = "" if has_turn else f", and {await self._local.servers.why_no_turn()}"
        self._note_fallback(connection, failed, missing)
        if failed is not None:
            if not has_turn:
                raise failed
            return False
        if not has_turn:
            return await connection.wait_up()
        return connection.role == ANSWERER and await connection.wait_up(TURN_OF_OFFERER_SECONDS)

    async def _comes_up(self, connection: Connection) -> bool:
        """Whether a direct way is found in time; after half of it TURN servers are asked, so that they are known."""
        half = self._local.settings.turn_after_seconds / 2
        if await connection.wait_up(half):
            return True
        self._local.crew.start(self._local.servers.look_for_turn(), f"turn-{self._did}")
        return await connection.wait_up(half)

    def _check_road(self, connection: Connection, reason: str) -> None:
        """A try for a direct way is not to take the place of what goes through TURN already."""
        if reason == DIRECT and connection.is_relayed:
            raise ConnectionFailed(self._did, "connecting", "only TURN connects us")

    async def _with_turn(self, before: Connection) -> Connection:
        metrics.note_turn_fallback()
        self._local.bury(before)
        self._replaces = before.session
        return await self.offer(TURN, with_turn=True)

    def _note_fallback(self, connection: Connection, failed: ConnectionFailed | None, missing: str) -> None:
        seconds = self._local.settings.turn_after_seconds
        reason = f"no direct way within {seconds:g} s" if failed is None else str(failed)
        self._local.incidents.note(
            "turn_fallback", self._did, connection.session, f"{connection.role}: {reason}{missing}"
        )
