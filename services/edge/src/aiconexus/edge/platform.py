"""Who the services are, as identity signs it: what every CHALLENGE carries, and the proof that identity answers."""

from collections.abc import Callable

from aiconexus.bus.session import Session
from aiconexus.edge.routing import Names
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import PlatformInfo
from aiconexus.protocol.errors import AiconexusError, ForeignSender, MalformedEnvelope, NoResponders
from aiconexus.protocol.seal import unseal

STALE_SECONDS = 7.0


class Platform:
    """
    The newest PLATFORM envelope.

    Args:
        session: The bus.
        names: Who must have signed it, and who we must be in it.
        clock: Seconds; only goes forward.

    """

    def __init__(self, session: Session, names: Names, clock: Callable[[], float]) -> None:
        self._session = session
        self._names = names
        self._clock = clock
        self._refreshed: float | None = None
        self.sealed = b""

    @property
    def is_known(self) -> bool:
        """Whether there is one; without it nobody can be let in."""
        return bool(self.sealed)

    async def refresh(self) -> None:
        """
        Ask identity for it.

        Raises:
            BusError: If identity does not answer.
            EnvelopeError: If its answer is not acceptable.
            IdentityError: If it is not identity's, or names another edge.

        """
        subject = subjects.service("identity", "platform")
        incoming = await self._session.request(subject, b"", timeout_seconds=2.0)
        self._check(incoming.data)
        self.sealed = incoming.data
        self._refreshed = self._clock()

    async def refresh_if_possible(self) -> None:
        """Likewise, but keep the old one if there is no new one."""
        try:
            await self.refresh()
        except AiconexusError:
            # The check of our health says so.
            return

    async def check(self) -> None:
        """
        Whether identity has answered lately.

        Raises:
            AiconexusError: If it does not answer now, either.

        """
        if self._refreshed is None or self._clock() - self._refreshed > STALE_SECONDS:
            await self.refresh()

    def _check(self, data: bytes) -> None:
        if not data:
            raise NoResponders(subjects.service("identity", "platform"))
        letter = unseal(data)
        if letter.envelope.sender != self._names.platform:
            raise ForeignSender(letter.envelope.sender, self._names.platform)
        body = letter.body
        if not isinstance(body, PlatformInfo) or body.services.get("edge") != self._names.edge:
            raise MalformedEnvelope("identity does not say that we are the edge")
