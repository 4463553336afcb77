"""What comes to an agent without being asked for: copies of its mail, live envelopes, and identity's word."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Incoming
from aiconexus.edge import metrics
from aiconexus.edge.audit import Audit
from aiconexus.edge.connection import Connection
from aiconexus.edge.routing import Names
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Revoked, Takeover
from aiconexus.protocol.closing import Close
from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import AiconexusError, ForeignSender
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Sealed, peek, split, unseal


class Pushes:
    """
    Hands over what arrives in agents' inboxes.

    Args:
        names: Of the services.
        audit: Finds out which session is the live one.

    """

    def __init__(self, names: Names, audit: Audit) -> None:
        self._names = names
        self._audit = audit

    def of(self, connection: Connection) -> Callable[[Incoming], Awaitable[None]]:
        """The handler of one connection's inbox."""
        return partial(self._handle, connection)

    async def _handle(self, connection: Connection, incoming: Incoming) -> None:
        try:
            if incoming.subject == subjects.inbox_mail(connection.token):
                self._mail(connection, incoming)
            elif incoming.subject == subjects.inbox_live(connection.token):
                self._live(connection, incoming.data)
        except AiconexusError:
            # Only our services can publish there: count it, and leave the agent alone.
            metrics.PUSHES.labels("unreadable").inc()

    def _mail(self, connection: Connection, incoming: Incoming) -> None:
        headers = incoming.headers or {}
        sequence = int(headers.get("Nats-Sequence", "0"))
        previous = int(headers.get("Nats-Last-Sequence", "0"))
        frame = connection.dialect.write_mail(incoming.data, sequence, previous)
        connection.outbox.put(frame, connection.dialect.kind)
        metrics.PUSHES.labels("mail").inc()

    def _live(self, connection: Connection, data: bytes) -> None:
        sealed = split(data, REPLY_MAX_BYTES)
        type_ = peek(sealed, is_canonical=True).type
        if type_ == Takeover.TYPE:
            self._takeover(connection, sealed)
        elif type_ == Revoked.TYPE:
            self._revoked(connection, sealed, data)
        else:
            connection.push(data)
            metrics.PUSHES.labels("live").inc()

    def _takeover(self, connection: Connection, sealed: Sealed) -> None:
        body = self._believed(connection, sealed)
        if not isinstance(body, Takeover) or body.session == connection.session:
            return
        metrics.PUSHES.labels("takeover").inc()
        if connection.is_registered:
            # It may be older than our own registration, so it only gives reason to look.
            self._audit.doubt(connection)
        else:
            connection.is_doubted = True

    def _revoked(self, connection: Connection, sealed: Sealed, data: bytes) -> None:
        body = self._believed(connection, sealed)
        if isinstance(body, Revoked) and body.did == connection.did:
            connection.push(data)
            connection.end(Close.REFUSED, "your key is revoked")

    def _believed(self, connection: Connection, sealed: Sealed) -> object:
        """The body of what identity says to this agent."""
        letter = unseal(sealed)
        envelope = letter.envelope
        if envelope.sender != self._names.platform:
            raise ForeignSender(envelope.sender, self._names.platform)
        if envelope.recipient != connection.did:
            raise ForeignSender(envelope.recipient or "", connection.did)
        check_fresh(envelope, now_ms())
        return letter.body
