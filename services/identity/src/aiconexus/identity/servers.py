"""
What can be asked of the NATS servers over the system account: who is connected where; and to disconnect somebody.

Every server of a cluster answers for its own connections only.
"""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from aiconexus.bus.session import Incoming, Session
from aiconexus.identity.events import AGENTS, EDGE_CLIENT, SERVICES, Connection, ConnectionEvent, Connz, Statsz
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import NoResponders

PAGE = 500
"""Lines of one CONNZ answer, which must fit into one NATS message."""
PATIENCE_SECONDS = 0.5
"""How long to wait for a server that does not answer."""

_decode = msgspec.json.Decoder(Connz).decode


class Census(msgspec.Struct, frozen=True):
    """
    The agents' connections on each server that answered, by the server's name.

    ``is_complete`` says whether every server answered that the others see.
    """

    connections: dict[str, frozenset[Connection]]
    is_complete: bool


class Servers:
    """
    Asks all servers, or one.

    Args:
        session: In the system account.
        page: Lines of one answer.

    """

    def __init__(self, session: Session, page: int = PAGE) -> None:
        self._session = session
        self._page = page
        self._ids: dict[str, str] = {}
        self._expected = 1

    def learn(self, event: ConnectionEvent) -> None:
        """Take the id of a server from what it tells."""
        self._ids[event.server.name] = event.server.id

    async def census(self) -> Census:
        """
        List all connections of agents.

        Raises:
            BusError: If no server answers.

        """
        self._expected = await self._count()
        connections: dict[str, frozenset[Connection]] = {}
        question = {"acc": AGENTS, "limit": self._page}
        for first in await self._ask_all(question):
            pages = await self._whole(first, question)
            listed = (page.connection(line) for page in pages for line in page.data.connections)
            connections[first.server.name] = frozenset(listed)
            self._ids[first.server.name] = first.server.id
        return Census(connections=connections, is_complete=len(connections) >= self._expected)

    async def is_connected(self, connection: Connection) -> bool:
        """
        Whether a connection still stands; one of a server that nobody knows does not.

        Raises:
            BusError: If its server does not answer.

        """
        server = self._ids.get(connection.server)
        if server is None:
            return False
        try:
            page = await self._ask(server, {"cid": connection.cid})
        except NoResponders:
            return False
        return any(page.connection(listed) == connection for listed in page.data.connections)

    async def has_edge(self, edge: str) -> bool:
        """
        Whether an edge has a connection to any server.

        Raises:
            BusError: If the question could not be asked.

        """
        wanted = EDGE_CLIENT + edge
        question = {"acc": SERVICES, "limit": self._page}
        for first in await self._ask_all(question):
            for page in await self._whole(first, question):
                if any(listed.name == wanted for listed in page.data.connections):
                    return True
        return False

    async def connections_of(self, did: str) -> list[Connection]:
        """
        All connections of one agent.

        Raises:
            BusError: If the question could not be asked.

        """
        pages = await self._ask_all({"user": did, "auth": True, "limit": self._page})
        return [
            page.connection(listed)
            for page in pages
            for listed in page.data.connections
            if listed.authorized_user == did
        ]

    async def kick(self, connection: Connection) -> bool:
        """
        Disconnect a client.

        Returns:
            Whether it was still connected.

        Raises:
            BusError: If its server does not answer.

        """
        # A number may belong to somebody else since the server was started again.
        if not await self.is_connected(connection):
            return False
        request = msgspec.json.encode({"cid": connection.cid})
        await self._session.request(subjects.server_request(self._ids[connection.server], "KICK"), request)
        return True

    async def _count(self) -> int:
        incoming = await self._session.request(subjects.server_ping("STATSZ"), b"")
        return msgspec.json.decode(incoming.data, type=Statsz).statsz.active_servers

    async def _ask(self, server: str, question: dict[str, Any]) -> Connz:
        data = msgspec.json.encode(question)
        incoming = await self._session.request(subjects.server_request(server, "CONNZ"), data)
        return _decode(incoming.data)

    async def _ask_all(self, question: dict[str, Any]) -> list[Connz]:
        """Every server's answer; those that are late are left out."""
        pages: list[Connz] = []
        complete = asyncio.Event()

        async def on_page(incoming: Incoming) -> None:
            pages.append(_decode(incoming.data))
            if len(pages) >= self._expected:
                complete.set()

        inbox = self._session.new_inbox()
        subscription = await self._session.subscribe(inbox, on_page)
        try:
            await self._session.publish(subjects.server_ping("CONNZ"), msgspec.json.encode(question), reply=inbox)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await complete.wait()
        finally:
            await subscription.unsubscribe()
        return pages

    async def _whole(self, first: Connz, question: dict[str, Any]) -> list[Connz]:
        """All pages of the server that gave the first one."""
        offsets = range(self._page, first.data.total, self._page)
        return [first, *[await self._ask(first.server.id, {**question, "offset": offset}) for offset in offsets]]
