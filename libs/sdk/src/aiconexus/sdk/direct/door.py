"""
The way from an agent to its direct connections, opened at the first of them.

The stack takes half a second to import; that happens in a thread, once somebody connects or an offer comes.
"""

import asyncio
import importlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiconexus.protocol.bodies import Body
from aiconexus.protocol.errors import AiconexusError, EnvelopeError, IdentityError, InvalidSignature, Refused
from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.seal import Codec, Sealed, peek
from aiconexus.protocol.signal_bodies import Answer, Bye, IceCandidate, IceServers, Incident, ListServers, Noted, Offer
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.delivery import Delivery
from aiconexus.sdk.direct.incidents import Incidents
from aiconexus.sdk.direct.seam import Mail
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.handlers import Handlers
from aiconexus.sdk.incidentrows import IncidentRows
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.services import Services

if TYPE_CHECKING:
    from aiconexus.sdk.direct.local import Signal
    from aiconexus.sdk.direct.peer import Peer
    from aiconexus.sdk.direct.peers import Peers
    from aiconexus.sdk.direct.vetting import Resolve

WAITING_MAX = 256
SIGNALS = (Offer, Answer, IceCandidate, Bye)
REFUSED = problem_of(Refused("")).name


class Door:
    """
    What the engine knows of the direct path.

    Args:
        settings: The rules.
        services: The platform.
        handlers: The application's: whoever handles OFFER itself gets it.
        notices: Where the application listens.
        rows: Where incidents are kept.
        crew: Makes a crew for background work.
        signal: Reaches agents through the platform.
        codec_for: Says what an agent can read.
        resolve: Says what the registry knows of agents.
        mail: What may take the direct road.

    """

    def __init__(
        self,
        settings: Direct,
        services: Services,
        handlers: Handlers,
        notices: Notices,
        rows: IncidentRows,
        *,
        crew: Callable[[], Crew],
        signal: "Signal",
        codec_for: Callable[[str], Awaitable[Codec]],
        resolve: "Resolve",
        mail: Mail | None,
    ) -> None:
        self.settings = settings
        self.rows = rows
        self._services = services
        self._handlers = handlers
        self._notices = notices
        self._new_crew = crew
        self._crew = crew()
        self._signal = signal
        self._codec_for = codec_for
        self._resolve = resolve
        self._mail = mail
        self._peers: Peers | None = None
        self._opening = asyncio.Lock()
        self._waiting: deque[Delivery] = deque()
        self._closed = False
        self._declining = 0
        report = self._report if settings.report else None
        self.incidents = Incidents(rows, notices.incident, report, self._crew)

    @property
    def known(self) -> "dict[str, Peer]":
        """The peers by their DIDs."""
        if self._peers is None:
            return {}
        return {did: relation.peer for did, relation in self._peers.relations.items()}

    async def peers(self) -> "Peers":
        """
        All peers; the stack is there from now on.

        Raises:
            Refused: If the agent is closed.

        """
        async with self._opening:
            if self._peers is None:
                self._peers = await self._open()
        return self._peers

    def take(self, delivery: Delivery) -> bool:
        """Take a live envelope of another agent; returns whether it was one for us. What comes too late is dropped."""
        is_unwanted = self._is_unwanted(delivery.body)
        if not is_unwanted and not self._is_ours(delivery.body):
            return False
        if self._closed:
            return True
        if is_unwanted:
            self._decline(delivery)
        elif self._peers is not None:
            self._peers.take(delivery)
        elif isinstance(delivery.body, Offer) and len(self._waiting) < WAITING_MAX:
            self._waiting.append(delivery)
            if len(self._waiting) == 1:
                self._crew.start(self._open_for_waiting(), "direct-open")
        elif self._waiting and len(self._waiting) < WAITING_MAX:
            self._waiting.append(delivery)
        return True

    def note_forged(self, sealed: Sealed, error: Exception) -> None:
        """Something live was not what it claims to be: if it was meant to connect us, somebody should know."""
        if self._closed or not self.settings.enabled or not isinstance(error, InvalidSignature):
            return
        try:
            envelope = peek(sealed)
        except (EnvelopeError, IdentityError):
            return
        if envelope.type in {body.TYPE for body in SIGNALS}:
            self.incidents.note("signature_invalid", envelope.sender, None, f"{envelope.type}: {error}")

    def note_refused(self, did: str, error: Exception) -> None:
        """A peer has put something into our channel that it did not sign, or that is not for us."""
        event = "signature_invalid" if isinstance(error, IdentityError) else "foreign_frame"
        relation = None if self._peers is None else self._peers.relations.get(did)
        if relation is not None:
            relation.note_refused(event, str(error))

    async def close(self) -> None:
        """Leave all peers."""
        self._closed = True
        if self._peers is not None:
            await self._peers.close()
        await self._crew.close()

    def _is_ours(self, body: Body) -> bool:
        if not self.settings.enabled or not isinstance(body, SIGNALS):
            return False
        if body.session is None and not isinstance(body, Offer):
            return False
        return self._handlers.find(body.TYPE) is None

    def _is_unwanted(self, body: Body) -> bool:
        return not self.settings.enabled and isinstance(body, Offer) and self._handlers.find(Offer.TYPE) is None

    def _decline(self, delivery: Delivery) -> None:
        """Say no at once, so that nobody waits for an answer; those whom it does not reach wait for their deadline."""
        if self._declining < WAITING_MAX and isinstance(delivery.body, Offer):
            self._declining += 1
            session = delivery.body.session or delivery.id
            bye = Bye(session=session, reason="the agent opens no direct connections", problem=REFUSED)
            self._crew.start(self._say_bye(delivery.sender, bye), "direct-decline")

    async def _say_bye(self, did: str, bye: Bye) -> None:
        try:
            await self._signal(did, bye)
        except AiconexusError:
            return
        finally:
            self._declining -= 1

    async def _open_for_waiting(self) -> None:
        peers = await self.peers()
        while self._waiting:
            peers.take(self._waiting.popleft())

    async def _open(self) -> "Peers":
        await asyncio.to_thread(importlib.import_module, "aiconexus.sdk.direct.peers")
        if self._closed:
            raise Refused("the agent is closed")
        from aiconexus.sdk.direct.local import Local  # noqa: PLC0415 - imports the stack
        from aiconexus.sdk.direct.peers import Peers  # noqa: PLC0415 - likewise
        from aiconexus.sdk.direct.servers import Servers  # noqa: PLC0415 - likewise
        from aiconexus.sdk.direct.vetting import vet  # noqa: PLC0415 - likewise

        crew = self._new_crew()
        local = Local(
            self.settings,
            self._services.voice,
            signal=self._signal,
            codec_for=self._codec_for,
            servers=Servers(self.settings.ice_servers, self._list_servers),
            incidents=self.incidents,
            crew=crew,
            graves=self._new_crew(),
            tell=self._notices.tell_one,
            on_defect=crew.report,
        )
        local.mail = self._mail
        peers = Peers(local, on_peer=self._notices.peer, on_error=self._notices.error)
        crew.start(vet(peers, self._resolve, self.settings.vet_seconds), "direct-vetting")
        return peers

    async def _list_servers(self) -> IceServers:
        question = ListServers(relay_only=self.settings.policy == "relay")
        return await self._services.ask("signaling", question, IceServers)

    async def _report(self, incident: Incident) -> Any:
        return await self._services.ask("signaling", incident, Noted)
