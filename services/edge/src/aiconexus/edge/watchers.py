"""
Who comes and goes, for the agents that want to know: one subscription for all of them.

The edge listens, too: whoever is said to be gone, or elsewhere, while it is connected here, is looked at.
"""

from aiconexus.bus.session import Incoming, Session, Subscription
from aiconexus.edge import metrics
from aiconexus.edge.audit import Audit
from aiconexus.edge.connection import Connection
from aiconexus.edge.roster import Roster
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Presence
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.errors import EnvelopeError
from aiconexus.protocol.seal import peek, read_body, split


class Watchers:
    """
    Who watches whom.

    Args:
        session: The bus.
        roster: Who is connected here.
        audit: Looks at them.

    """

    def __init__(self, session: Session, roster: Roster, audit: Audit) -> None:
        self._session = session
        self._roster = roster
        self._audit = audit
        self._subscription: Subscription | None = None
        self._watched: dict[Connection, frozenset[str]] = {}
        self._by_did: dict[str, set[Connection]] = {}
        self._of_everybody: set[Connection] = set()

    async def open(self) -> None:
        """
        Listen.

        Raises:
            BusUnavailable: If the session is closed.

        """
        self._subscription = await self._session.subscribe(subjects.all_presence(), self._on_presence)

    def watch(self, connection: Connection, dids: tuple[str, ...]) -> None:
        """Tell a connection about these agents from now on, and no longer about others; none means everybody."""
        self.forget(connection)
        self._watched[connection] = frozenset(dids)
        if not dids:
            self._of_everybody.add(connection)
        for did in dids:
            self._by_did.setdefault(did, set()).add(connection)

    def forget(self, connection: Connection) -> None:
        """Tell a connection nothing more."""
        for did in self._watched.pop(connection, frozenset()):
            watchers = self._by_did[did]
            watchers.discard(connection)
            if not watchers:
                del self._by_did[did]
        self._of_everybody.discard(connection)

    async def close(self) -> None:
        """Listen no longer."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def _on_presence(self, incoming: Incoming) -> None:
        did = PREFIX + incoming.subject.rpartition(".")[2]
        try:
            for connection in (*self._of_everybody, *self._by_did.get(did, ())):
                connection.push(incoming.data)
                metrics.PUSHES.labels("presence").inc()
            here = self._roster.of(did)
            if here is not None and not _tells_of(incoming.data, here):
                self._audit.doubt(here)
        except EnvelopeError:
            metrics.PUSHES.labels("unreadable").inc()


def _tells_of(data: bytes, connection: Connection) -> bool:
    """Whether a PRESENCE says what is so here; nobody but identity can publish one."""
    sealed = split(data)
    body = read_body(peek(sealed), sealed.codec)
    return isinstance(body, Presence) and body.online and body.session == connection.session
