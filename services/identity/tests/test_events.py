import pytest

from aiconexus.identity.events import Connection, asking_connection, read_event
from aiconexus.protocol.errors import MalformedEnvelope

from .people import PEOPLE

DID = PEOPLE[0].did
START = "2026-11-21T00:20:07.992082575Z"
EVENT = (
    '{"type":"io.nats.server.advisory.v1.client_disconnect","id":"x","timestamp":"t","server":{"name":"n.1",'
    '"host":"127.0.0.1","id":"NAVG","ver":"2.15.1","jetstream":true,"flags":7,"seq":36,"time":"t"},"client":{'
    f'"start":"{START}","host":"127.0.0.1","id":12,"acc":"AGENTS","user":"{DID}","name":"edge.e7","rtt":240000,'
    '"kind":"Client","client_type":"nats"},"sent":{"msgs":1,"bytes":2},"reason":"Kicked"}'
)
INFO = (
    f'{{"start":"{START}","host":"127.0.0.1","id":12,"acc":"AGENTS","user":"{DID}","name":"agent",'
    '"rtt":240435,"server":"n.1","kind":"Client","client_type":"nats"}'
)


def test_a_request_and_an_event_name_the_same_session() -> None:
    """What the server says of a connection in a header and in an event leads to one name, and back."""
    event = read_event(EVENT.encode())
    asking = asking_connection({"Nats-Request-Info": INFO}, DID)

    assert Connection("n.1", 12, START) == asking == event.connection
    assert asking == Connection.of_session(event.connection.session)
    assert ("e7", DID, "NAVG") == (event.edge, event.client.user, event.server.id)


def test_a_client_that_is_no_edge() -> None:
    """Only the client name of an edge leads to an edge."""
    assert read_event(EVENT.replace("edge.e7", "relay.e7").encode()).edge is None


def test_a_request_of_a_service_has_no_connection() -> None:
    """What an edge passed on does not carry the header."""
    assert (None, None) == (asking_connection(None, DID), asking_connection({"Other": "x"}, DID))


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(INFO.replace("AGENTS", "SVC"), id="foreign account"),
        pytest.param(INFO.replace(DID, PEOPLE[1].did), id="foreign user"),
        pytest.param(INFO.replace('"id":12', '"id":"12"'), id="wrong type"),
        pytest.param("{", id="no JSON"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(info: str) -> None:
    """Somebody else's connection, or another form than the server's, registers nobody."""
    with pytest.raises(MalformedEnvelope):
        asking_connection({"Nats-Request-Info": info}, DID)


def test_an_event_of_another_form_is_refused() -> None:
    """A server whose events we do not understand is an error, not silence."""
    with pytest.raises(MalformedEnvelope):
        read_event(b'{"server": 1}')
