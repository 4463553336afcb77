"""Every WebSocket of this edge: how many there may be, who is on them, and which of them have fallen silent."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aiconexus.edge import metrics
from aiconexus.edge.connection import Connection
from aiconexus.protocol.closing import Close
from aiconexus.protocol.errors import TooManyConnections


class Roster:
    """
    The connections that are open.

    Args:
        connections_max: More are refused.

    """

    def __init__(self, connections_max: int) -> None:
        self._connections_max = connections_max
        self._seats = 0
        self._connections: set[Connection] = set()
        self._by_did: dict[str, Connection] = {}
        self._gone = asyncio.Event()
        self.is_open = True
        """Whether new connections are taken."""

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._connections))

    @property
    def registered(self) -> tuple[Connection, ...]:
        """Those whose agent has proved its key and has not been displaced here."""
        return tuple(self._by_did.values())

    def of(self, did: str) -> Connection | None:
        """The connection of an agent."""
        return self._by_did.get(did)

    @contextmanager
    def seat(self) -> Iterator[None]:
        """
        Room for one connection.

        Raises:
            TooManyConnections: If there is none.

        """
        if self._seats >= self._connections_max:
            raise TooManyConnections(self._connections_max)
        self._seats += 1
        try:
            yield
        finally:
            self._seats -= 1

    @contextmanager
    def listed(self, connection: Connection) -> Iterator[None]:
        """Know of a connection for as long as it is open."""
        self._connections.add(connection)
        metrics.CONNECTIONS.labels(connection.dialect.name).inc()
        try:
            yield
        finally:
            self._connections.discard(connection)
            self._gone.set()
            if self._by_did.get(connection.did) is connection:
                del self._by_did[connection.did]
            metrics.CONNECTIONS.labels(connection.dialect.name).dec()
            metrics.AGENTS.set(len(self._by_did))

    async def emptied(self, wait_seconds: float) -> None:
        """Wait until nobody is connected any more, but not longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while self._connections:
                    self._gone.clear()
                    await self._gone.wait()

    def register(self, connection: Connection) -> None:
        """Identity has made this the agent's one live session: another one here is over."""
        before = self._by_did.get(connection.did)
        if before is not None and before is not connection:
            before.end(Close.TAKEN_OVER)
        self._by_did[connection.did] = connection
        metrics.AGENTS.set(len(self._by_did))


def beat(connection: Connection, now: float) -> None:
    """Ping whoever is quiet, and end the connection of whoever gives no sign of life after that."""
    settings = connection.settings
    if not connection.is_registered or connection.ending is not None:
        return
    if connection.is_paused:
        # We do not read what it sends, so its silence is ours.
        connection.seen = now
        return
    if connection.pinged > connection.seen:
        if now - connection.pinged >= settings.pong_seconds:
            connection.end(Close.SILENT)
    elif settings.heartbeat_seconds and now - connection.seen >= settings.heartbeat_seconds:
        connection.ping(now)


def is_forgotten(connection: Connection, now: float) -> bool:
    """Whether nothing at all was heard for the agent time-out."""
    return not connection.is_paused and now - connection.seen >= connection.settings.agent_timeout_seconds
