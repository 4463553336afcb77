import base64
from typing import Any

import msgspec
import pytest

from aiconexus.bus.claims import (
    CurveKey,
    LoginRequest,
    check_login,
    read_login_request,
    user_jwt,
)
from aiconexus.bus.nkeys import Kind, public_text, user_nkey
from aiconexus.protocol.errors import InvalidSignature, MalformedEnvelope, Refused
from aiconexus.protocol.keys import SigningKey

NOW = 1_800_000_000
NONCE = "AAAAAAAAAAAAAAA"
SERVER = SigningKey(b"\1" * 32)
AGENT = SigningKey(b"\2" * 32)


def part(value: Any) -> str:
    """One part of a JWT."""
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def token(claims: dict[str, Any], alg: str = "ed25519-nkey", signer: SigningKey = SERVER) -> bytes:
    """A JWT as the server writes it."""
    text = f"{part({'typ': 'JWT', 'alg': alg})}.{part(claims)}"
    signature = base64.urlsafe_b64encode(signer.sign(text.encode())).decode().rstrip("=")
    return f"{text}.{signature}".encode()


def request(**changes: Any) -> dict[str, Any]:
    """The claims of a login request in order, with changes."""
    server = public_text(Kind.SERVER, SERVER.public_key)
    login = {
        "server_id": {"id": server, "name": "n1"},
        "user_nkey": "UX",
        "client_info": {"id": 7, "host": "127.0.0.1", "nonce": NONCE},
        "connect_opts": {
            "nkey": user_nkey(AGENT.public_key),
            "sig": base64.b64encode(AGENT.sign(NONCE.encode())).decode(),
        },
    }
    return {"iss": server, "aud": "nats-authorization-request", "exp": NOW + 2, "nats": login} | changes


def login(**options: Any) -> LoginRequest:
    """A login request with other connect options."""
    claims = request()
    claims["nats"]["connect_opts"] |= options
    return read_login_request(token(claims), NOW)


def test_a_request_in_order_names_the_agent() -> None:
    """The owner of the nkey that signed the nonce is the DID of the same key."""
    assert check_login(read_login_request(token(request()), NOW)) == AGENT.did


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a.b.c", id="no base64"),
        pytest.param(b"a" * 70_000, id="too long"),
        pytest.param(token(request(aud="somebody")), id="audience"),
        pytest.param(token(request(exp=NOW - 10)), id="old"),
        pytest.param(token(request(iss="NX")), id="issuer is no key"),
        pytest.param(token(request(iss=user_nkey(SERVER.public_key))), id="issuer is no server"),
        pytest.param(token(request(nats={})), id="nothing asked"),
        pytest.param(token(request(exp="soon")), id="form"),
        pytest.param("é.é.é".encode(), id="not ascii"),
        pytest.param(b"\xff.\xff.\xff", id="not text"),
    ],
)
def test_a_malformed_request_is_refused(data: bytes) -> None:
    """What is no login request of the server's own is malformed, whatever it is."""
    with pytest.raises(MalformedEnvelope):
        read_login_request(data, NOW)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(token(request(), signer=AGENT), id="foreign key"),
        pytest.param(token(request(), alg="none"), id="algorithm"),
    ],
)
def test_a_request_that_the_server_did_not_sign_is_refused(data: bytes) -> None:
    """Nobody but the server asks for logins."""
    with pytest.raises(InvalidSignature):
        read_login_request(data, NOW)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"nkey": None}, id="no nkey"),
        pytest.param({"sig": None}, id="no signature"),
        pytest.param({"nkey": "UX"}, id="no key"),
        pytest.param({"nkey": user_nkey(bytes(32))}, id="small order"),
        pytest.param({"sig": "!!!!"}, id="no base64"),
    ],
)
def test_a_login_without_proof_is_refused(options: dict[str, Any]) -> None:
    """Who does not sign the nonce with a usable key stays out."""
    with pytest.raises(Refused):
        check_login(login(**options))


@pytest.mark.parametrize("sig", ["", "AAAA"], ids=["foreign", "short"])
def test_a_login_with_another_signature_is_refused(sig: str) -> None:
    """Who signs with another key than the one that it names stays out."""
    other = base64.b64encode(SERVER.sign(NONCE.encode())).decode()

    with pytest.raises(InvalidSignature):
        check_login(login(sig=sig or other))


def test_a_nonce_that_could_be_something_else_is_not_accepted() -> None:
    """A signature over something that is no nonce proves nothing to us."""
    claims = request()
    claims["nats"]["client_info"]["nonce"] = "aiconexus/v1/envelope/msgpack\n"

    with pytest.raises(Refused):
        check_login(read_login_request(token(claims), NOW))


def test_an_empty_list_of_subjects_denies_all() -> None:
    """The server takes an empty list for permission to do anything, so none is ever written."""
    asked = read_login_request(token(request()), NOW)
    jwt = user_jwt(AGENT, asked, name="x", account="AGENTS", publish=[], subscribe=["a"], now_seconds=NOW)
    body = jwt.split(".")[1]
    claims = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    assert ({"deny": [">"]}, {"allow": ["a"]}) == (claims["nats"]["pub"], claims["nats"]["sub"])


def test_a_box_opens_for_its_two_ends_only() -> None:
    """What one curve key seals for another opens there, and neither changed nor elsewhere."""
    server, responder, stranger = CurveKey(b"\1" * 32), CurveKey(b"\2" * 32), CurveKey(b"\3" * 32)
    box = server.seal(b"secret", responder.public)

    assert responder.open(box, server.public) == b"secret"
    with pytest.raises(MalformedEnvelope):
        stranger.open(box, server.public)
    with pytest.raises(MalformedEnvelope):
        responder.open(box[:-1] + bytes([box[-1] ^ 1]), server.public)
    with pytest.raises(MalformedEnvelope):
        responder.open(b"xkv2" + box[4:], server.public)
