"""
What the NATS server itself says of connections, in the three forms in which it says it.

A connection is known by its server's name, its number there, and when it began: numbers start again with every start
of a server, and a request's header does not carry the server's id.
"""

from collections.abc import Mapping
from typing import Self

import msgspec

from aiconexus.protocol.errors import MalformedEnvelope

REQUEST_INFO = "Nats-Request-Info"
"""The header that the server adds to what crosses a shared import; it overwrites what a client puts there."""

AGENTS = "AGENTS"
SERVICES = "SVC"
EDGE_CLIENT = "edge."
"""What the client name of an edge's connection begins with; its id follows."""


class Connection(msgspec.Struct, frozen=True):
    """One connection of a client, past or present."""

    server: str
    cid: int
    start: str

    @property
    def session(self) -> str:
        """The name under which an agent on NATS is present."""
        return f"{self.server}/{self.cid}/{self.start}"

    @classmethod
    def of_session(cls, session: str) -> Self:
        """
        The connection of a session on NATS.

        Raises:
            ValueError: If the session is none.

        """
        server, cid, start = session.rsplit("/", 2)
        return cls(server, int(cid), start)


class _Server(msgspec.Struct, frozen=True):
    name: str
    id: str


class _Client(msgspec.Struct, frozen=True):
    id: int
    start: str
    user: str = ""
    name: str = ""


class ConnectionEvent(msgspec.Struct, frozen=True):
    """A client connected or disconnected."""

    server: _Server
    client: _Client
    reason: str = ""

    @property
    def connection(self) -> Connection:
        """Which one."""
        return Connection(self.server.name, self.client.id, self.client.start)

    @property
    def edge(self) -> str | None:
        """The edge's id, if the client is one."""
        name = self.client.name
        return name.removeprefix(EDGE_CLIENT) if name.startswith(EDGE_CLIENT) else None


class _RequestInfo(msgspec.Struct, frozen=True):
    id: int
    start: str
    server: str
    acc: str
    user: str


class ListedConnection(msgspec.Struct, frozen=True):
    """One line of CONNZ."""

    cid: int
    start: str
    name: str = ""
    authorized_user: str = ""


class _Listing(msgspec.Struct, frozen=True):
    total: int
    connections: tuple[ListedConnection, ...] = ()


class Connz(msgspec.Struct, frozen=True):
    """A page of one server's list of connections."""

    server: _Server
    data: _Listing

    def connection(self, listed: ListedConnection) -> Connection:
        """The connection of one line."""
        return Connection(self.server.name, listed.cid, listed.start)


class _Stats(msgspec.Struct, frozen=True):
    active_servers: int = 1


class Statsz(msgspec.Struct, frozen=True):
    """How one server is; all that counts here is how many others it sees."""

    statsz: _Stats


_decode_event = msgspec.json.Decoder(ConnectionEvent).decode
_decode_info = msgspec.json.Decoder(_RequestInfo).decode


def read_event(data: bytes) -> ConnectionEvent:
    """
    Read a CONNECT or DISCONNECT event.

    Raises:
        MalformedEnvelope: If it is none; the server's release then does not fit ours.

    """
    try:
        return _decode_event(data)
    except msgspec.DecodeError as error:
        reason = f"no connection event: {error}"
        raise MalformedEnvelope(reason) from error


def asking_connection(headers: Mapping[str, str] | None, did: str) -> Connection | None:
    """
    The connection on which an agent asked, as the server says.

    Returns:
        None, if the request did not come from the agents' account: an edge passed it on.

    Raises:
        MalformedEnvelope: If the header does not follow the server's form, or names another user.

    """
    header = (headers or {}).get(REQUEST_INFO)
    if header is None:
        return None
    try:
        info = _decode_info(header)
    except msgspec.DecodeError as error:
        reason = f"no request info: {error}"
        raise MalformedEnvelope(reason) from error
    if info.acc != AGENTS or info.user != did:
        reason = "the request came over somebody else's connection"
        raise MalformedEnvelope(reason)
    return Connection(info.server, info.id, info.start)
