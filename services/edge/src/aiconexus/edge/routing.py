"""Where an agent's envelope goes: a table of addressee and type, and nothing else."""

import msgspec

from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import UnsupportedType
from aiconexus.protocol.vocabulary import LIVE_TYPES, STORED_TYPES


class Names(msgspec.Struct, frozen=True):
    """The DIDs of the services; the platform's is identity's."""

    platform: str
    relay: str
    edge: str


class Route(msgspec.Struct, frozen=True):
    """A service and its verb; ``edge`` stands for what this process handles itself."""

    service: str
    verb: str


EDGE = "edge"

PLATFORM_ROUTES = {
    "REGISTER": Route(EDGE, "register"),
    "UNREGISTER": Route("identity", "unregister"),
    "DISCOVER": Route("identity", "discover"),
    "RESOLVE": Route("identity", "resolve"),
    "REVOKE": Route("identity", "revoke"),
    "PING": Route("identity", "ping"),
}
RELAY_ROUTES = {
    "FETCH": Route("relay", "fetch"),
    "ACK": Route("relay", "ack"),
    "PING": Route("relay", "ping"),
}
EDGE_ROUTES = {
    "PING": Route(EDGE, "ping"),
    "WATCH": Route(EDGE, "watch"),
    "UNREGISTER": Route(EDGE, "unregister"),
}
AGENT_ROUTES = {type_: Route("relay", "submit") for type_ in STORED_TYPES} | {
    type_: Route("relay", "forward") for type_ in LIVE_TYPES
}
NOBODY: dict[str, Route] = {}


def route_of(envelope: Envelope, names: Names) -> Route:
    """
    Who handles an envelope.

    Raises:
        UnsupportedType: If its addressee does not understand it.

    """
    route = _table(envelope.recipient, names).get(envelope.type)
    if route is None:
        raise UnsupportedType(envelope.type)
    return route


def _table(recipient: str | None, names: Names) -> dict[str, Route]:
    if recipient is None:
        return NOBODY
    if recipient == names.relay:
        return RELAY_ROUTES
    if recipient == names.platform:
        return PLATFORM_ROUTES
    return EDGE_ROUTES if recipient == names.edge else AGENT_ROUTES
