"""
Who may come to a service's desk: the checks of one request, in the order of their cost.

An agent's subject names the agent, and the bus lets nobody else publish there; services ask under a prefix of their
own account. On both the envelope must be signed by that very agent or service, be fresh, new, and meant for us.
"""

from aiconexus.bus.session import Incoming
from aiconexus.protocol import subjects
from aiconexus.protocol.did import did_for_token
from aiconexus.protocol.envelope import Envelope, check_fresh
from aiconexus.protocol.errors import EnvelopeError, ForeignSender, Refused
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES, REPLY_MAX_BYTES
from aiconexus.protocol.replay import ReplayWindow
from aiconexus.protocol.seal import Codec, Letter, check_seal, peek, return_of, split
from aiconexus.runtime.directory import Directory

SERVICE_IDS_MAX = 240_000
"""Requests of one service within the replay window, all of its replicas together: 2,000 a second."""


class Errand:
    """
    One request on its way through the desk; what is known of it grows with each check.

    ``to`` is who gets the answer, None as long as that is unknown. ``asker`` is the name of the asking service, None
    for an agent. ``id`` is not verified before ``Admission.admit`` has returned.
    """

    __slots__ = ("asker", "by_service", "codec", "id", "incoming", "to", "type", "verb")

    def __init__(self, incoming: Incoming, *, by_service: bool) -> None:
        self.incoming = incoming
        self.by_service = by_service
        self.verb = incoming.subject.rsplit(".", 1)[-1]
        self.to: str | None = None
        self.asker: str | None = None
        self.codec = Codec.MSGPACK
        self.id: str | None = None
        self.type = "unknown"


class Admission:
    """
    The checks of one service.

    Args:
        did: Ours.
        directory: Who the services are.

    """

    def __init__(self, did: str, directory: Directory) -> None:
        self._did = did
        self._directory = directory
        self._agents = ReplayWindow()
        self._services = ReplayWindow(ids_max=SERVICE_IDS_MAX)

    def admit(self, errand: Errand, now_ms: int) -> Letter:
        """
        Check a request, and note in the errand what was learned.

        Raises:
            EnvelopeError: If it cannot be read, is not fresh or not new.
            IdentityError: If it is not signed by who must have signed it.
            RateLimited: If the sender has used up its window.
            Refused: If it is meant for somebody else.

        """
        if not errand.by_service:
            errand.to = did_for_token(subjects.sender_of(errand.incoming.subject)[0])
        sealed = split(errand.incoming.data, REPLY_MAX_BYTES if errand.by_service else ENVELOPE_MAX_BYTES)
        errand.codec = Codec(sealed.codec)
        try:
            envelope = peek(sealed)
        except EnvelopeError:
            errand.id = return_of(sealed).id
            raise
        errand.id = envelope.id
        self._check_sender(errand, envelope)
        if envelope.recipient != self._did:
            reason = "this service is not the addressee"
            raise Refused(reason)
        check_seal(sealed, envelope.sender)
        check_fresh(envelope, now_ms)
        window = self._services if errand.by_service else self._agents
        window.admit(envelope.sender, envelope.id, now_ms)
        return Letter(envelope, sealed)

    def _check_sender(self, errand: Errand, envelope: Envelope) -> None:
        if errand.by_service:
            errand.asker = self._directory.name_of(envelope.sender)
            if errand.asker is None:
                raise ForeignSender(envelope.sender, "services")
            errand.to = envelope.sender
        elif envelope.sender != errand.to:
            raise ForeignSender(envelope.sender, str(errand.to))
