"""Where an agent's envelope goes: a table of addressee and type, and nothing else."""

from collections.abc import Mapping

import msgspec

from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import UnsupportedType
from aiconexus.protocol.vocabulary import LIVE_TYPES, STORED_TYPES


class Names:
    """
    Who the services are, in the terms of this module.

    Args:
        services: The DID of each service.

    """

    def __init__(self, services: Mapping[str, str]) -> None:
        self._names = {did: name for name, did in services.items()}
        self.platform = services["identity"]
        self.edge = services["edge"]

    def name_of(self, did: str) -> str:
        """The service behind a DID, or what stands for everybody else."""
        return self._names.get(did, AGENT)


class Route(msgspec.Struct, frozen=True):
    """A service and its verb; ``edge`` stands for what this process handles itself."""

    service: str
    verb: str


EDGE = "edge"
AGENT = "agent"

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
RETRY_ROUTES = {
    type_: Route("retry", type_.lower())
    for type_ in ("SCHEDULE", "RETURN", "WITHDRAW", "JOBS", "JOB", "DEAD_LETTERS", "REQUEUE", "DROP", "PING")
}
SIGNALING_ROUTES = {type_: Route("signaling", type_.lower()) for type_ in ("LIST_SERVERS", "INCIDENT", "PING")}
AGENT_ROUTES = {type_: Route("relay", "submit") for type_ in STORED_TYPES} | {
    type_: Route("signaling", "forward") for type_ in LIVE_TYPES
}

ROUTES = {
    "identity": PLATFORM_ROUTES,
    "relay": RELAY_ROUTES,
    "retry": RETRY_ROUTES,
    "signaling": SIGNALING_ROUTES,
    EDGE: EDGE_ROUTES,
    AGENT: AGENT_ROUTES,
}
"""What each addressee understands."""


def route_of(envelope: Envelope, names: Names) -> Route:
    """
    Who handles an envelope.

    Raises:
        UnsupportedType: If its addressee does not understand it.

    """
    if envelope.recipient is None:
        raise UnsupportedType(envelope.type)
    route = ROUTES.get(names.name_of(envelope.recipient), {}).get(envelope.type)
    if route is None:
        raise UnsupportedType(envelope.type)
    return route
