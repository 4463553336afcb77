"""
What the NATS server and the auth callout tell each other: JWTs of the algorithm ``ed25519-nkey``, in curve boxes.

The server asks with a JWT under its own key; the answer is a JWT under the account's key that holds another one, the
user's. Pitfall: an empty list of subjects would allow everything, so it becomes a denial of ``>``.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from nacl.bindings import crypto_scalarmult_base
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from aiconexus.bus.nkeys import Kind, public_key_of, public_text, unchecked_key_of
from aiconexus.protocol.did import did_of
from aiconexus.protocol.errors import InvalidSignature, MalformedEnvelope, Refused
from aiconexus.protocol.keys import SigningKey, verify

REQUEST_AUDIENCE = "nats-authorization-request"
REQUEST_MAX_BYTES = 64 * 1024
SKEW_SECONDS = 2
"""How far the clocks of the server and ours may differ."""

_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_BOX_VERSION = b"xkv1"
_BOX_NONCE_BYTES = 24
_PARTS = 3
_URL_SAFE = str.maketrans("+/", "-_")


class ServerId(msgspec.Struct, frozen=True):
    """The server that asks; ``xkey`` is its one-time curve key."""

    id: str
    name: str = ""
    xkey: str | None = None


class ClientInfo(msgspec.Struct, frozen=True):
    """The connection as the server sees it; ``id`` is its cid, ``nonce`` what the client had to sign."""

    id: int
    host: str = ""
    type: str = ""
    nonce: str | None = None


class ConnectOptions(msgspec.Struct, frozen=True):
    """What the client said of itself; the server has checked none of it."""

    nkey: str | None = None
    sig: str | None = None
    name: str | None = None


class LoginRequest(msgspec.Struct, frozen=True):
    """A client wants in; ``user_nkey`` is the one-time key that the answer must be about."""

    server_id: ServerId
    user_nkey: str
    client_info: ClientInfo
    connect_opts: ConnectOptions


class _RequestClaims(msgspec.Struct, frozen=True):
    iss: str
    aud: str
    exp: int
    nats: LoginRequest


class _Issuer(msgspec.Struct, frozen=True):
    iss: str


class _Header(msgspec.Struct, frozen=True):
    alg: str


_ALGORITHM = "ed25519-nkey"
SERVERS_MAX = 64
"""Servers whose keys are remembered, so that a login costs no more than its own signatures."""


def read_login_request(token: bytes, now_seconds: float) -> LoginRequest:
    """
    Read what the server asks, and believe it only under the server's own key.

    Raises:
        MalformedEnvelope: If it is no such request, or its time has passed.
        InvalidSignature: If the server did not sign it.

    """
    if len(token) > REQUEST_MAX_BYTES:
        reason = f"login request of {len(token)} bytes"
        raise MalformedEnvelope(reason)
    claims = _verified(token, Kind.SERVER)
    if claims.aud != REQUEST_AUDIENCE or claims.nats.server_id.id != claims.iss:
        reason = "not a login request"
        raise MalformedEnvelope(reason)
    if claims.exp and claims.exp + SKEW_SECONDS < now_seconds:
        reason = "the login request is too old"
        raise MalformedEnvelope(reason)
    return claims.nats


def check_login(request: LoginRequest) -> str:
    """
    Verify that the client owns the key that it names: the server does not.

    Returns:
        The DID of the key.

    Raises:
        Refused: If it brought no nkey and signature, or they are not in their one form.
        InvalidSignature: If it did not sign the server's nonce.

    """
    nkey, signature, nonce = request.connect_opts.nkey, request.connect_opts.sig, request.client_info.nonce
    if not nkey or not signature or not nonce or not _NONCE.fullmatch(nonce):
        reason = "sign the server's nonce with your nkey"
        raise Refused(reason)
    try:
        did = did_of(unchecked_key_of(Kind.USER, nkey))
        # Clients write it in either alphabet of base64.
        raw = _decoded(signature.rstrip("=").translate(_URL_SAFE))
    except ValueError as error:
        reason = f"the nkey or its signature is malformed: {error}"
        raise Refused(reason) from error
    verify(did, nonce.encode(), raw)
    return did


def user_jwt(
    issuer: SigningKey,
    request: LoginRequest,
    *,
    name: str,
    account: str,
    publish: Sequence[str],
    subscribe: Sequence[str],
    now_seconds: float,
    lifetime_seconds: int = 0,
) -> str:
    """
    Let a user in.

    Args:
        issuer: The account key of the callout.
        request: What the server asked.
        name: The user's name in logs, events and connection lists.
        account: Where the user lives.
        publish: All that it may publish on.
        subscribe: All that it may subscribe to.
        now_seconds: Since the epoch.
        lifetime_seconds: After this the server disconnects the user, who may log in again; 0 is for ever.

    """
    permissions = {
        "pub": _permission(publish),
        "sub": _permission(subscribe),
        "subs": -1,
        "data": -1,
        "payload": -1,
        "type": "user",
        "version": 2,
    }
    claims: dict[str, Any] = {"sub": request.user_nkey, "name": name, "aud": account, "nats": permissions}
    if lifetime_seconds:
        claims["exp"] = int(now_seconds) + lifetime_seconds
    return _signed(issuer, claims, now_seconds)


def login_answer(
    issuer: SigningKey, request: LoginRequest, *, now_seconds: float, jwt: str = "", error: str = ""
) -> bytes:
    """The answer to the server: a user's JWT, or why there is none."""
    content: dict[str, Any] = {"type": "authorization_response", "version": 2}
    content |= {"jwt": jwt} if jwt else {"error": error}
    claims = {"sub": request.user_nkey, "aud": request.server_id.id, "nats": content}
    return _signed(issuer, claims, now_seconds).encode()


class CurveKey:
    """
    The X25519 key under which the server sends its requests, so that nobody else on the bus reads them.

    Args:
        seed: 32 random bytes.

    """

    __slots__ = ("_box", "public")

    def __init__(self, seed: bytes) -> None:
        private = PrivateKey(seed)
        self.public = curve_text(seed)

        @lru_cache(maxsize=SERVERS_MAX)
        def box(other: str) -> Box:
            return Box(private, PublicKey(public_key_of(Kind.CURVE, other)))

        self._box = box

    def open(self, data: bytes, sender: str) -> bytes:
        """
        Open a box of the server whose curve key is ``sender``.

        Raises:
            MalformedEnvelope: If it is not for us, or not from there.

        """
        head = len(_BOX_VERSION) + _BOX_NONCE_BYTES
        if not data.startswith(_BOX_VERSION) or len(data) > REQUEST_MAX_BYTES:
            reason = "not a curve box"
            raise MalformedEnvelope(reason)
        try:
            return self._box(sender).decrypt(data[head:], data[len(_BOX_VERSION) : head])
        except (CryptoError, ValueError) as error:
            reason = f"the curve box does not open: {error}"
            raise MalformedEnvelope(reason) from error

    def seal(self, data: bytes, recipient: str) -> bytes:
        """Close a box for the server whose curve key is ``recipient``."""
        return _BOX_VERSION + bytes(self._box(recipient).encrypt(data))


def curve_text(seed: bytes) -> str:
    """The public text "X…" of a curve seed."""
    return public_text(Kind.CURVE, crypto_scalarmult_base(seed))


def account_text(issuer: SigningKey) -> str:
    """The public text "A…" of the account key that signs users' JWTs."""
    return _account_text(issuer.public_key)


@lru_cache(maxsize=SERVERS_MAX)
def _account_text(public_key: bytes) -> str:
    return public_text(Kind.ACCOUNT, public_key)


@lru_cache(maxsize=SERVERS_MAX)
def _did_of(kind: Kind, text: str) -> str:
    return did_of(unchecked_key_of(kind, text))


def _permission(subjects: Sequence[str]) -> dict[str, Sequence[str]]:
    return {"allow": subjects} if subjects else {"deny": [">"]}


def _signed(issuer: SigningKey, claims: dict[str, Any], now_seconds: float) -> str:
    whole = {"iat": int(now_seconds), "iss": _account_text(issuer.public_key), **claims}
    digest = hashlib.new("sha512_256", msgspec.json.encode(whole, order="sorted")).digest()
    whole["jti"] = base64.b32encode(digest).decode().rstrip("=")
    text = f"{_HEADER}.{_encoded(msgspec.json.encode(whole))}"
    return f"{text}.{_encoded(issuer.sign(text.encode()))}"


def _verified(token: bytes, kind: Kind) -> _RequestClaims:
    parts = token.split(b".")
    if len(parts) != _PARTS:
        reason = "not a JWT"
        raise MalformedEnvelope(reason)
    try:
        header = msgspec.json.decode(_decoded(parts[0].decode()), type=_Header)
        payload = _decoded(parts[1].decode())
        signature = _decoded(parts[2].decode())
        issuer = _did_of(kind, msgspec.json.decode(payload, type=_Issuer).iss)
        if header.alg != _ALGORITHM:
            raise InvalidSignature(header.alg)
        verify(issuer, parts[0] + b"." + parts[1], signature)
        return _decode_claims(payload)
    except (ValueError, msgspec.DecodeError) as error:
        reason = f"not a login request: {error}"
        raise MalformedEnvelope(reason) from error


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


_HEADER = _encoded(msgspec.json.encode({"typ": "JWT", "alg": _ALGORITHM}))
_decode_claims = msgspec.json.Decoder(_RequestClaims).decode
