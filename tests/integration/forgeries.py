"""Envelopes that must not pass: each is made from a good one, signed anew where that makes it worse."""

import os
from collections.abc import Callable
from typing import Any

import base58
import msgspec
import rfc8785
from tests.integration.strangers import sealed

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body, Message, Ping, Presence, Receipt, ReceiptItem, ReceiptStatus, Takeover
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import DOMAINS, Codec, split
from aiconexus.protocol.text import timestamp_of

SMALL_ORDER = (
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
)
"""Points of order 4, 1, 8, 8 and 2: under them signatures can be made without any private key."""

DEEP = 20_000

Forger = Callable[[SigningKey, str, Codec], bytes]
"""Makes an envelope with a key, to a victim, in a codec."""


def prototype_did(public_key: bytes) -> str:
    """What the source prototype called a DID: the bare key behind a literal ``z6Mk``."""
    return "did:key:z6Mk" + base58.b58encode(public_key).decode()


def small_order_did(number: int = 1) -> str:
    """A well-formed did:key whose key has small order."""
    return "did:key:z" + base58.b58encode(b"\xed\x01" + SMALL_ORDER[number]).decode()


def resealed(key: SigningKey, data: bytes, **members: Any) -> bytes:
    """The envelope with other members, signed by ``key`` over what it says now; ``from_`` stands for ``from``."""
    parts = split(data, len(data))
    changed = {name.rstrip("_"): value for name, value in members.items()}
    if parts.codec == Codec.JSON:
        payload = rfc8785.dumps(msgspec.json.decode(parts.payload) | changed)
    else:
        payload = msgspec.msgpack.encode(msgspec.msgpack.decode(parts.payload) | changed)
    return signed(key, Codec(parts.codec), payload)


def signed(key: SigningKey, codec: Codec, payload: bytes) -> bytes:
    """Any bytes as the payload of a sealed envelope."""
    return msgspec.msgpack.encode((codec.value, payload, key.sign(DOMAINS[codec] + payload)))


def mail(key: SigningKey, to: str, codec: Codec, body: Body | None = None) -> bytes:
    """The good envelope that the others are made from."""
    return sealed(key, body or Message(content="hello"), to, codec=codec)


def forged_signature(key: SigningKey, to: str, codec: Codec) -> bytes:
    """One bit of the signature is another."""
    data = mail(key, to, codec)
    return data[:-1] + bytes([data[-1] ^ 1])


def changed_payload(key: SigningKey, to: str, codec: Codec) -> bytes:
    """The signature belongs to another text of the same length."""
    return mail(key, to, codec).replace(b"hello", b"jello")


def spoofed(key: SigningKey, to: str, codec: Codec) -> bytes:
    """The victim is named as the sender."""
    return resealed(key, mail(key, to, codec), from_=to)


def other_version(key: SigningKey, to: str, codec: Codec) -> bytes:
    """A version that nobody speaks."""
    return resealed(key, mail(key, to, codec), version="9.9" if codec is Codec.JSON else 99)


def other_type(key: SigningKey, to: str, codec: Codec) -> bytes:
    """A type that nobody knows."""
    return resealed(key, mail(key, to, codec), type="GOSSIP")


def truncated(key: SigningKey, to: str, codec: Codec) -> bytes:
    """The end of the payload is missing, and the rest is signed."""
    return signed(key, codec, split(mail(key, to, codec)).payload[:-20])


def deep(key: SigningKey, to: str, codec: Codec) -> bytes:
    """A body nested so deeply that a careless reader runs out of stack."""
    data = mail(key, to, codec, Message(content="NEST"))
    payload = split(data).payload
    if codec is Codec.JSON:
        nested = payload.replace(b'"NEST"', b"[" * DEEP + b"]" * DEEP)
    else:
        nested = payload.replace(b"\xa4NEST", b"\x91" * DEEP + b"\xc0")
    return signed(key, codec, nested)


def oversized(key: SigningKey, to: str, codec: Codec) -> bytes:
    """More than an envelope may have, and less than a connection is closed for."""
    return sealed(key, Message(content="x" * 66_000), to, codec=codec, limit=100_000)


def injecting_id(key: SigningKey, to: str, codec: Codec) -> bytes:
    """An id that would write headers of its own."""
    return resealed(key, mail(key, to, codec), id="x\r\nNats-TTL: 1s\r\nNats-Rollup: sub")


def ending_id(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Likewise, with nothing but a line end."""
    return resealed(key, mail(key, to, codec), id="innocent\n")


def wild_id(key: SigningKey, to: str, codec: Codec) -> bytes:
    """An id with the wildcards of the bus and a blank."""
    return resealed(key, mail(key, to, codec), id="> *.$JS")


def to_prototype(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Addressed to what the source prototype called a DID."""
    return resealed(key, mail(key, to, codec), to=prototype_did(os.urandom(32)))


def to_small_order(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Addressed to a key of small order."""
    return resealed(key, mail(key, to, codec), to=small_order_did())


def to_subject(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Addressed to what would be a subject of everybody."""
    return resealed(key, mail(key, to, codec), to="did:key:z6Mk.>")


def to_nobody(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Mail without an addressee."""
    return resealed(key, mail(key, to, codec), to=None)


def to_stranger(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Addressed to somebody who never registered."""
    return resealed(key, mail(key, to, codec), to=SigningKey(os.urandom(32)).did)


def from_future(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Created two minutes from now."""
    return _created(key, to, codec, now_ms() + 120_000)


def over(key: SigningKey, to: str, codec: Codec) -> bytes:
    """Created so long ago that its longest life has ended."""
    return _created(key, to, codec, now_ms() - 8 * 24 * 3600 * 1000)


def takeover(key: SigningKey, to: str, codec: Codec) -> bytes:
    """What only identity may say: another session is the live one."""
    return mail(key, to, codec, Takeover(session="mine"))


def presence(key: SigningKey, to: str, codec: Codec) -> bytes:
    """What only identity may say, to nobody in particular: the victim is gone."""
    return sealed(key, Presence(did=to, online=False, at_ms=now_ms()), None, codec=codec)


def empty_receipt(key: SigningKey, to: str, codec: Codec) -> bytes:
    """A receipt without a line."""
    receipt = Receipt(items=(ReceiptItem(id="x", status=ReceiptStatus.PROCESSED),))
    data = mail(key, to, codec, receipt)
    if codec is Codec.JSON:
        return resealed(key, data, payload={"items": []})
    return resealed(key, data, body={"items": []})


def wrong_body(key: SigningKey, to: str, codec: Codec) -> bytes:
    """A body that is not what the type says."""
    return resealed(key, mail(key, to, codec, Ping(sequence=1)), type="EXEC_RESPONSE")


def _created(key: SigningKey, to: str, codec: Codec, at_ms: int) -> bytes:
    data = mail(key, to, codec)
    if codec is Codec.JSON:
        return resealed(key, data, timestamp=timestamp_of(at_ms))
    return resealed(key, data, created_ms=at_ms)


FORGERIES: dict[Forger, str] = {
    forged_signature: "invalid_signature",
    changed_payload: "invalid_signature",
    spoofed: "foreign_sender",
    other_version: "unsupported_version",
    other_type: "unsupported_type",
    truncated: "malformed",
    deep: "malformed",
    oversized: "too_large",
    injecting_id: "malformed",
    ending_id: "malformed",
    wild_id: "malformed",
    to_prototype: "invalid_did",
    to_small_order: "invalid_did",
    to_subject: "invalid_did",
    to_nobody: "malformed",
    to_stranger: "unknown_agent",
    from_future: "stale",
    over: "expired",
    takeover: "unsupported_type",
    presence: "unsupported_type",
    empty_receipt: "malformed",
    wrong_body: "malformed",
}
"""How each is refused, on either road and in either codec."""
