"""Envelopes that nobody may accept, each with the one thing that is wrong with it."""

import base64
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
from libs.protocol.tests.samples import ALICE, BOB, MALLORY, NOW_MS, id_of, key_of, sealed
from libs.protocol.tests.strange_dids import BAD_DIDS, SMALL_ORDER, unchecked_did

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import (
    DID_MAX_CHARACTERS,
    ENVELOPE_MAX_BYTES,
    FRESHNESS_MS,
    LIFETIME_MAX_MS,
    REPLY_MAX_BYTES,
    TEXT_MAX_BYTES,
)
from aiconexus.protocol.problems import PROBLEMS
from aiconexus.protocol.seal import DOMAINS, Codec, split
from aiconexus.protocol.text import canonical, frame_of, timestamp_of

GOOD = sealed(Message(content="hello"))
BINARY = split(GOOD)
JSON = split(sealed(Message(content="hello"), codec=Codec.JSON))
OTHER = split(sealed(Message(content="other")))
MEMBERS: dict[str, Any] = msgspec.msgpack.decode(BINARY.payload)
TEXT_MEMBERS: dict[str, Any] = json.loads(JSON.payload)
FRAME_MEMBERS: dict[str, Any] = json.loads(frame_of(JSON.payload, JSON.signature))
DEFAULTS = {"reader": BOB.did, "kind": "live"}
LARGE = 4096
ORDER = 2**252 + 27742317777372353535851937790883648493

Rejects = Iterator[dict[str, Any]]


def pieces(data: bytes) -> str | list[list[Any]]:
    """Base64 of the bytes; where one byte sequence is repeated very often, pairs of base64 and a count."""
    if len(data) <= LARGE:
        return base64.b64encode(data).decode()
    for unit in (b"\x91", b"[", b'{"a":', b"]", b"x", b" "):
        start = data.find(unit * 64)
        if start >= 0:
            end = start
            while data.startswith(unit, end):
                end += len(unit)
            middle = [base64.b64encode(unit).decode(), (end - start) // len(unit)]
            return [*_pairs(data[:start]), middle, *_pairs(data[end:])]
    return base64.b64encode(data).decode()


def _pairs(data: bytes) -> list[list[Any]]:
    if not data:
        return []
    found = pieces(data)
    return [[found, 1]] if isinstance(found, str) else found


def reject(name: str, problem: str, data: bytes, **context: Any) -> dict[str, Any]:
    """A sealed envelope that is refused with this problem."""
    return {"name": name, "problem": problem, "sealed": pieces(data)} | DEFAULTS | context


def reject_frame(name: str, problem: str, frame: bytes | dict[str, Any]) -> dict[str, Any]:
    """A text frame that is refused with this problem."""
    data = frame if isinstance(frame, bytes) else json.dumps(frame, ensure_ascii=False).encode()
    return {"name": f"frame: {name}", "problem": problem, "frame": pieces(data)} | DEFAULTS


def wrapped(codec: Any, payload: Any, signature: Any) -> bytes:
    """Any three parts."""
    return msgspec.msgpack.encode([codec, payload, signature])


def signed(payload: bytes, codec: Codec = Codec.MSGPACK, key: SigningKey = ALICE) -> bytes:
    """Any payload with a good signature."""
    return wrapped(codec.value, payload, key.sign(DOMAINS[codec] + payload))


def members(**changes: Any) -> bytes:
    """The binary envelope, changed and well signed."""
    return signed(msgspec.msgpack.encode({**MEMBERS, **changes}))


def text_members(**changes: Any) -> bytes:
    """The JSON envelope, changed and well signed."""
    return signed(canonical({**TEXT_MEMBERS, **changes}), Codec.JSON)


def content(text: bytes) -> bytes:
    """The JSON envelope with another text for its content, well signed."""
    return signed(JSON.payload.replace(b'"hello"', text), Codec.JSON)


def _forged() -> Rejects:
    s = int.from_bytes(BINARY.signature[32:], "little")
    signatures = {
        "by another key": MALLORY.sign(DOMAINS[Codec.MSGPACK] + BINARY.payload),
        "of another envelope": OTHER.signature,
        "without domain": ALICE.sign(BINARY.payload),
        "in the domain of the other codec": ALICE.sign(DOMAINS[Codec.JSON] + BINARY.payload),
        "with one bit changed": bytes([BINARY.signature[0] ^ 1]) + BINARY.signature[1:],
        "malleated, S + L": BINARY.signature[:32] + (s + ORDER).to_bytes(32, "little"),
        "of zeros": bytes(64),
        "empty": b"",
        "of 63 bytes": BINARY.signature[:-1],
        "of 65 bytes": BINARY.signature + b"\0",
    }
    for name, signature in signatures.items():
        yield reject(f"signature {name}", "invalid_signature", wrapped(1, BINARY.payload, signature))
    yield reject("payload with one letter changed", "invalid_signature", GOOD.replace(b"hello", b"hallo"))
    yield reject("JSON signed by another key", "invalid_signature", signed(JSON.payload, Codec.JSON, MALLORY))
    yield reject(
        "JSON of another content",
        "invalid_signature",
        wrapped(2, canonical(TEXT_MEMBERS | {"id": "1"}), JSON.signature),
    )
    yield reject_frame("content changed", "invalid_signature", FRAME_MEMBERS | {"payload": {"content": "hallo"}})
    yield reject_frame("sender changed", "invalid_signature", FRAME_MEMBERS | {"from": MALLORY.did})


def _wrappers() -> Rejects:
    wrappers = {
        "empty": b"",
        "first half": GOOD[: len(GOOD) // 2],
        "without the last byte": GOOD[:-1],
        "with a byte behind": GOOD + b"\0",
        "map": msgspec.msgpack.encode({"codec": 1, "payload": BINARY.payload, "signature": BINARY.signature}),
        "two elements": msgspec.msgpack.encode([1, BINARY.payload]),
        "payload as text": wrapped(1, BINARY.payload.decode("latin-1"), BINARY.signature),
        "codec 0": wrapped(0, BINARY.payload, BINARY.signature),
        "codec 3": wrapped(3, BINARY.payload, BINARY.signature),
        "codec as text": wrapped("1", BINARY.payload, BINARY.signature),
        "codec true": wrapped(codec=True, payload=BINARY.payload, signature=BINARY.signature),
        "codec 1 called 2": wrapped(2, BINARY.payload, BINARY.signature),
        "codec 2 called 1": wrapped(1, JSON.payload, JSON.signature),
        "20,000 arrays deep": b"\x91" * 20_000,
        "array that claims 4 GB": b"\xdd\xff\xff\xff\xff",
        "payload that claims 4 GB": b"\x93\x01\xc6\xff\xff\xff\xff",
    }
    for name, data in wrappers.items():
        yield reject(f"wrapper: {name}", "malformed", data)
    yield reject("one byte too large", "too_large", _of_size(ENVELOPE_MAX_BYTES + 1))


def _of_size(size: int) -> bytes:
    length = size // 2
    overhead = len(sealed(Message(content="x" * length))) - length
    return sealed(Message(content="x" * (size - overhead)), limit=REPLY_MAX_BYTES)


def _binary() -> Rejects:
    for name in MEMBERS:
        rest = {key: value for key, value in MEMBERS.items() if key != name}
        yield reject(f"without {name}", "malformed", signed(msgspec.msgpack.encode(rest)))
    changes: dict[str, dict[str, Any]] = {
        "id empty": {"id": ""},
        "id with a line end": {"id": "a\r\nNats-Rollup: all"},
        "id of 65 characters": {"id": "a" * 65},
        "created_ms negative": {"created_ms": -1},
        "created_ms as a float": {"created_ms": 1.5},
        "thread with a control character": {"thread": "\x1b[2J"},
        "MESSAGE to nobody": {"to": None},
        "PLATFORM to somebody": {"type": "PLATFORM", "body": {"services": {}}},
        "version of no form": {"version": [1]},
        "body of another type": {"type": "PING"},
        "body out of bounds": {"type": "FETCH", "body": {"limit": 101}},
        "name with a control character": {"type": "REGISTER", "body": {"public_key": "k", "name": "\x07"}},
        "body nil": {"body": None},
    }
    for name, change in changes.items():
        yield reject(name, "malformed", members(**change))
    yield reject("version 2", "unsupported_version", members(version=2))
    yield reject("version 2 of another form", "unsupported_version", signed(msgspec.msgpack.encode({"version": 2})))
    yield reject("type of a later version", "unsupported_type", members(type="LATER"))
    yield reject("type in small letters", "unsupported_type", members(type="message"))
    deep = BINARY.payload.replace(b"\xa5hello", b"\x91" * 60_000 + b"\xc0")
    yield reject("body 60,000 arrays deep", "malformed", signed(deep))
    yield reject("text that is no UTF-8", "malformed", signed(BINARY.payload.replace(b"hello", b"hell\xff")))
    yield reject("payload with a byte behind", "malformed", signed(BINARY.payload + b"\0"))


def _senders() -> Rejects:
    for name, key in SMALL_ORDER.items():
        payload = msgspec.msgpack.encode({**MEMBERS, "from": unchecked_did(key)})
        forgery = (1).to_bytes(32, "little") + bytes(32)
        yield reject(f"sender of {name}, signed without a key", "invalid_did", wrapped(1, payload, forgery))
    for name in ("mixed order", "x25519", "leading 1, right length", "trailing space, right length", "fragment"):
        did = BAD_DIDS[name]
        problem = "invalid_did" if len(did) <= DID_MAX_CHARACTERS else "malformed"
        yield reject(f"sender: {name}", problem, members(**{"from": did}))
    yield reject("sender of the source prototype", "invalid_did", members(**{"from": BAD_DIDS["source prototype"]}))
    yield reject(
        "JSON sender of the source prototype", "invalid_did", text_members(**{"from": BAD_DIDS["source prototype"]})
    )


def _json() -> Rejects:
    for name in TEXT_MEMBERS:
        rest = {key: value for key, value in TEXT_MEMBERS.items() if key != name}
        yield reject(f"JSON without {name}", "malformed", signed(canonical(rest), Codec.JSON))
    changes: dict[str, dict[str, Any]] = {
        "one member more": {"extra": 1},
        "signature inside the signed bytes": {"signature": ""},
        "timestamp without milliseconds": {"timestamp": "2026-09-21T14:13:20Z"},
        "timestamp with an offset": {"timestamp": "2026-09-21T14:13:20.000+00:00"},
        "30 February": {"timestamp": "2026-02-30T00:00:00.000Z"},
        "leap second": {"timestamp": "2026-12-31T23:59:60.000Z"},
        "time before the epoch": {"timestamp": "1969-12-31T23:59:59.999Z"},
        "id with a line end": {"id": "a\n"},
        "MESSAGE to nobody": {"to": None},
    }
    for name, change in changes.items():
        yield reject(f"JSON: {name}", "malformed", text_members(**change))
    yield reject("JSON: version 1.1", "unsupported_version", text_members(version="1.1"))
    yield reject("JSON: version as a number", "unsupported_version", text_members(version=1))
    yield reject("JSON: type of a later version", "unsupported_type", text_members(type="LATER"))
    texts = {
        "integer 2^53": b"9007199254740992",
        "integer of 400 digits": b"1" + b"0" * 399,
        "1e400": b"1e400",
        "NaN": b"NaN",
        "Infinity": b"Infinity",
        "1.0 for 1": b"1.0",
        "-0": b"-0",
        "1e2 for 100": b"1e2",
        "escaped letter": b'"\\u0061"',
        "lone surrogate": b'"\\ud800"',
        "bytes that are no UTF-8": b'"\xff"',
        "30,000 arrays deep": b"[" * 30_000 + b"]" * 30_000,
        "members out of order": b'{"b":1,"a":1}',
        "repeated member": b'{"a":1,"a":1}',
        "white space": b"[1, 2]",
    }
    for name, text in texts.items():
        yield reject(f"JSON: {name}", "malformed", content(text))
    yield reject("JSON: line end behind", "malformed", signed(JSON.payload + b"\n", Codec.JSON))


def _frames() -> Rejects:
    frames: dict[str, bytes | dict[str, Any]] = {
        "no JSON": b"hello",
        "array": b"[]",
        "no UTF-8": b"\xff",
        "20,000 objects deep": b'{"a":' * 15_000,
        "without signature": TEXT_MEMBERS,
        "signature null": FRAME_MEMBERS | {"signature": None},
        "signature without padding": FRAME_MEMBERS | {"signature": FRAME_MEMBERS["signature"].rstrip("=")},
        "one member more": FRAME_MEMBERS | {"extra": 1},
        "one member less": {key: value for key, value in FRAME_MEMBERS.items() if key != "correlation_id"},
        "delivery without a place": FRAME_MEMBERS | {"delivery": {}},
        "opaque of codec 3": _opaque(codec=3),
        "opaque without payload": {"codec": 1, "sequence": 1, "previous": 0, "signature": ""},
        "NaN": frame_of(JSON.payload, JSON.signature).replace(b'"hello"', b"NaN"),
    }
    for name, frame in frames.items():
        yield reject_frame(name, "malformed", frame)
    large = frame_of(JSON.payload, JSON.signature)[:-1] + b" " * TEXT_MAX_BYTES + b"}"
    yield reject_frame("too large", "too_large", large)
    yield reject_frame("opaque, forged", "invalid_signature", _opaque(signature=base64.b64encode(bytes(64)).decode()))


def _opaque(**changes: Any) -> dict[str, Any]:
    parts = {
        "payload": base64.b64encode(BINARY.payload).decode(),
        "signature": base64.b64encode(BINARY.signature).decode(),
    }
    return {"sequence": 2, "previous": 1, "codec": 1, **parts, **changes}


def _context() -> Rejects:
    carol = key_of("carol")
    yield reject("for another agent", "refused", sealed(Message(content=1), recipient=carol.did))
    yield reject("of another agent than the connected one", "foreign_sender", GOOD, authenticated=MALLORY.did)
    for name, created_ms in (("old", NOW_MS - FRESHNESS_MS - 1), ("early", NOW_MS + FRESHNESS_MS + 1)):
        yield reject(f"live, too {name}", "stale", members(type="OFFER", body={"sdp": "v=0"}, created_ms=created_ms))
    too_early = timestamp_of(NOW_MS + FRESHNESS_MS + 1)
    yield reject("stored, from the future", "stale", text_members(timestamp=too_early), kind="stored")
    ended = members(created_ms=NOW_MS - 10, expires_ms=NOW_MS)
    yield reject("live, ended", "expired", ended)
    yield reject("stored, ended", "expired", ended, kind="stored")
    over = members(created_ms=NOW_MS - LIFETIME_MAX_MS)
    yield reject("stored, ended without saying when", "expired", over, kind="stored")
    endless = members(expires_ms=NOW_MS + LIFETIME_MAX_MS + 1)
    yield reject("stored, wants to live too long", "malformed", endless, kind="stored")
    offer = members(type="OFFER", body={"sdp": "v=0"})
    yield reject("stored, of a live type", "unsupported_type", offer, kind="stored")
    yield reject("seen before", "replayed", GOOD, seen=[[ALICE.did, id_of("MESSAGE")]])


def rejects() -> list[dict[str, Any]]:
    """All of them, with the code of each problem."""
    codes = {problem.name: problem.code for problem in PROBLEMS.values()}
    entries = chain(_forged(), _wrappers(), _binary(), _senders(), _json(), _frames(), _context())
    return [{**entry, "code": codes[entry["problem"]]} for entry in entries]
