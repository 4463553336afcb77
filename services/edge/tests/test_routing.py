"""The table of who handles what."""

import pytest

from aiconexus.edge.routing import Names, Route, route_of
from aiconexus.protocol.bodies import Ping
from aiconexus.protocol.envelope import VERSION, Envelope
from aiconexus.protocol.errors import UnsupportedType
from aiconexus.protocol.seal import write_body
from aiconexus.protocol.vocabulary import BODIES, LIVE_TYPES, STORED_TYPES, UNADDRESSED_TYPES

NAMES = Names(
    {
        "identity": "did:p",
        "relay": "did:r",
        "edge": "did:e",
        "retry": "did:t",
        "signaling": "did:s",
        "newer": "did:n",
    }
)


def envelope(type_: str, to: str | None) -> Envelope:
    """An envelope of which only type and addressee count."""
    return Envelope(
        version=VERSION,
        id="i",
        type=type_,
        sender="did:a",
        recipient=to,
        created_ms=0,
        body=write_body(Ping(sequence=1)),
    )


@pytest.mark.parametrize(
    ("to", "type_", "route"),
    [
        ("did:p", "REGISTER", Route("edge", "register")),
        ("did:p", "UNREGISTER", Route("identity", "unregister")),
        ("did:p", "DISCOVER", Route("identity", "discover")),
        ("did:p", "RESOLVE", Route("identity", "resolve")),
        ("did:p", "REVOKE", Route("identity", "revoke")),
        ("did:p", "PING", Route("identity", "ping")),
        ("did:r", "FETCH", Route("relay", "fetch")),
        ("did:r", "ACK", Route("relay", "ack")),
        ("did:r", "PING", Route("relay", "ping")),
        ("did:e", "PING", Route("edge", "ping")),
        ("did:e", "WATCH", Route("edge", "watch")),
        ("did:e", "UNREGISTER", Route("edge", "unregister")),
        ("did:t", "SCHEDULE", Route("retry", "schedule")),
        ("did:t", "DEAD_LETTERS", Route("retry", "dead_letters")),
        ("did:s", "LIST_SERVERS", Route("signaling", "list_servers")),
        ("did:s", "INCIDENT", Route("signaling", "incident")),
        ("did:s", "PING", Route("signaling", "ping")),
    ],
)
def test_services_get_their_verbs(to: str, type_: str, route: Route) -> None:
    """Each service is asked under the verb of the type."""
    assert route == route_of(envelope(type_, to), NAMES)


@pytest.mark.parametrize("type_", sorted(STORED_TYPES))
def test_stored_types_are_submitted(type_: str) -> None:
    """What may lie in a mailbox goes to the relay's intake."""
    assert Route("relay", "submit") == route_of(envelope(type_, "did:b"), NAMES)


@pytest.mark.parametrize("type_", sorted(LIVE_TYPES))
def test_live_types_are_forwarded(type_: str) -> None:
    """What is worthless tomorrow is forwarded."""
    assert Route("signaling", "forward") == route_of(envelope(type_, "did:b"), NAMES)


@pytest.mark.parametrize("type_", sorted(set(BODIES) - STORED_TYPES - LIVE_TYPES))
def test_nothing_else_goes_to_an_agent(type_: str) -> None:
    """What services say cannot be said by agents to agents."""
    with pytest.raises(UnsupportedType):
        route_of(envelope(type_, "did:b"), NAMES)


@pytest.mark.parametrize("type_", [*sorted(UNADDRESSED_TYPES), "PING", "NONSENSE"])
def test_nothing_is_said_to_nobody(type_: str) -> None:
    """Agents do not address the world."""
    with pytest.raises(UnsupportedType):
        route_of(envelope(type_, None), NAMES)


@pytest.mark.parametrize(
    ("to", "type_"), [("did:p", "MESSAGE"), ("did:r", "DISCOVER"), ("did:e", "FETCH"), ("did:n", "PING")]
)
def test_services_get_nothing_else(to: str, type_: str) -> None:
    """A service is not asked what it does not answer."""
    with pytest.raises(UnsupportedType):
        route_of(envelope(type_, to), NAMES)
