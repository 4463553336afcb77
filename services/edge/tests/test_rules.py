"""The pure decisions of websocket, listing, application and doorman."""

import base64

import pytest

from aiconexus.edge.application import cors_headers
from aiconexus.edge.doorman import check_register
from aiconexus.edge.listing import WrongQuery, credentials, question_of, status_of
from aiconexus.edge.websocket import agreed, is_allowed_origin
from aiconexus.protocol import delivery_errors, errors
from aiconexus.protocol.bodies import Body, Discover, Ping, Register
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.errors import AiconexusError, MalformedEnvelope, Refused, RemoteProblem
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.problems import report
from aiconexus.protocol.seal import Letter, compose, unseal

KEY = SigningKey(bytes(32))
PLATFORM = SigningKey(bytes(31) + b"\x01").did
NOW = 1_700_000_000_000
BOTH = ("aiconexus.v1", "ioap.v1")


@pytest.mark.parametrize(
    ("offered", "name"),
    [("aiconexus.v1", "aiconexus.v1"), ("chat, ioap.v1", "ioap.v1"), ("ioap.v1,aiconexus.v1", "ioap.v1")],
)
def test_first_offer_that_is_spoken_wins(offered: str, name: str) -> None:
    """The client's order counts."""
    assert name == agreed(offered, BOTH).name


@pytest.mark.parametrize(("offered", "spoken"), [("", BOTH), ("AICONEXUS.V1", BOTH), ("ioap.v1", BOTH[:1])])
def test_nothing_in_common_is_refused(offered: str, spoken: tuple[str, ...]) -> None:
    """Names are exact, and only those that are switched on count."""
    with pytest.raises(MalformedEnvelope, match=spoken[0]):
        agreed(offered, spoken)


@pytest.mark.parametrize(
    ("origin", "allowed", "expected"),
    [
        (None, (), True),
        ("https://a.example", (), False),
        ("https://a.example", ("https://a.example",), True),
        ("https://a.example.evil", ("https://a.example",), False),
        ("http://a.example", ("https://a.example",), False),
        ("https://edge.example:8080", (), True),
        ("null", (), False),
        ("https://x.example", ("*",), True),
    ],
)
def test_origin_must_be_allowed_or_ours(origin: str | None, allowed: tuple[str, ...], expected: bool) -> None:
    """What is no browser sends none; a page of the edge's own host is at home."""
    assert expected is is_allowed_origin(origin, "edge.example:8080", allowed)


def test_page_without_a_host_is_not_ours() -> None:
    """An empty Host matches no origin."""
    assert not is_allowed_origin("null", "", ())


@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_credentials_are_base64url(padding: str) -> None:
    """Padding may be there or not, and the scheme's case does not matter."""
    text = base64.urlsafe_b64encode(b"\xfb\xff\x01\x02").decode().rstrip("=") + padding

    assert b"\xfb\xff\x01\x02" == credentials(f"aiconexus {text}")


@pytest.mark.parametrize("header", ["", "AIConexus", "AIConexus ", "Basic eHh4", "AIConexus +/==", "AIConexus a"])
def test_other_credentials_are_refused(header: str) -> None:
    """Nothing else authorises anybody."""
    with pytest.raises(Refused):
        credentials(header)


def test_query_is_a_discover() -> None:
    """Each filter is a parameter."""
    query = {"capability": "a.b", "name": "x", "online": "true", "limit": "7", "cursor": "c"}
    question = question_of(query)

    assert Discover.TYPE == question.TYPE
    assert ("a.b", "x", True, 7, "c") == (
        question.capability,
        question.name,
        question.online,
        question.limit,
        question.cursor,
    )


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"online": "perhaps"}, {"who": "me"}])
def test_wrong_query_is_refused(query: dict[str, str]) -> None:
    """An unknown filter is a mistake, not ignored."""
    with pytest.raises(WrongQuery):
        question_of(query)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WrongQuery("x"), 400),
        (Refused("x"), 401),
        (errors.InvalidDid("x", "y"), 401),
        (errors.MalformedEnvelope("x"), 401),
        (errors.NoResponders("x"), 503),
        (delivery_errors.HandlerFailed("x"), 500),
        (RemoteProblem("x", report(errors.ReplayedEnvelope("x"))), 401),
        (RemoteProblem("x", report(errors.EnvelopeStale("x", 1, 2))), 401),
        (RemoteProblem("x", report(errors.KeyRevoked("x"))), 401),
        (RemoteProblem("x", report(errors.MalformedEnvelope("x"))), 400),
        (RemoteProblem("x", report(errors.Refused("x"))), 403),
        (RemoteProblem("x", report(delivery_errors.RateLimited(5))), 429),
        (RemoteProblem("x", report(errors.NoResponders("x"))), 503),
        (RemoteProblem("x", report(delivery_errors.HandlerFailed("x"))), 502),
    ],
)
def test_status_fits_the_problem(error: AiconexusError, status: int) -> None:
    """Clients that know HTTP only still know whose fault it is."""
    assert status == status_of(error)


@pytest.mark.parametrize(
    ("origin", "origins", "allowed"),
    [(None, ("*",), None), ("https://a", (), None), ("https://a", ("https://a",), "https://a"), ("x", ("*",), "x")],
)
def test_cors_echoes_allowed_origins(origin: str | None, origins: tuple[str, ...], allowed: str | None) -> None:
    """Never a star in the answer: caches must tell origins apart."""
    assert allowed == cors_headers(origin, origins).get("Access-Control-Allow-Origin")


def register(body: Body | None = None, to: str = PLATFORM, now_ms: int = NOW) -> Letter:
    """A letter of the fixed key."""
    body = body or Register(public_key=key_text_of(KEY.did), challenge="n")
    return unseal(compose(body, KEY, to, id_="i", now_ms=now_ms))


def test_right_register_is_read() -> None:
    """Nonce, key and addressee fit."""
    assert "n" == check_register(register(), PLATFORM, "n", NOW, is_first=True).challenge


def test_renewal_needs_no_nonce_but_no_foreign_one() -> None:
    """What the connection has proved need not be proved again, and a wrong proof is still wrong."""
    without = register(Register(public_key=key_text_of(KEY.did)))

    assert check_register(without, PLATFORM, "n", NOW, is_first=False)
    with pytest.raises(errors.InvalidSignature):
        check_register(without, PLATFORM, "n", NOW, is_first=True)
    with pytest.raises(errors.InvalidSignature):
        check_register(register(), PLATFORM, "other", NOW, is_first=False)


@pytest.mark.parametrize(
    ("letter", "error"),
    [
        (register(Ping(sequence=1)), errors.UnsupportedType),
        (register(to=KEY.did), errors.MalformedEnvelope),
        (register(now_ms=NOW - 61_000), errors.EnvelopeStale),
        (register(now_ms=NOW + 61_000), errors.EnvelopeStale),
        (register(Register(public_key="z6Mk", challenge="n")), errors.MalformedEnvelope),
    ],
    ids=["other type", "other addressee", "old", "from the future", "other key"],
)
def test_wrong_register_is_refused(letter: Letter, error: type[AiconexusError]) -> None:
    """Each condition counts."""
    with pytest.raises(error):
        check_register(letter, PLATFORM, "n", NOW, is_first=True)
