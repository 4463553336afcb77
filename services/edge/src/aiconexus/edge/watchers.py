"""Agents that want to know who comes and goes: one subscription for all of them."""

from aiconexus.bus.session import Incoming, Session, Subscription
from aiconexus.edge import metrics
from aiconexus.edge.connection import Connection
from aiconexus.protocol import subjects
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.errors import EnvelopeError


class Watchers:
    """
    Who watches whom.

    Args:
        session: The bus.

    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._subscription: Subscription | None = None
        self._watched: dict[Connection, frozenset[str]] = {}
        self._by_did: dict[str, set[Connection]] = {}
        self._of_everybody: set[Connection] = set()

    async def watch(self, connection: Connection, dids: tuple[str, ...]) -> None:
        """
        Tell a connection about these agents from now on, and no longer about others; none means everybody.

        Raises:
            BusUnavailable: If the bus cannot be listened to.

        """
        if self._subscription is None:
            self._subscription = await self._session.subscribe(subjects.all_presence(), self._on_presence)
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
        for connection in (*self._of_everybody, *self._by_did.get(did, ())):
            try:
                connection.push(incoming.data)
            except EnvelopeError:
                metrics.PUSHES.labels("unreadable").inc()
                return
            metrics.PUSHES.labels("presence").inc()
