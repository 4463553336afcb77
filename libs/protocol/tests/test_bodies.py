"""The schema of every type."""

from typing import Any

import msgspec
import pytest

from aiconexus.protocol.bodies import Body
from aiconexus.protocol.vocabulary import BODIES

from .samples import BOB, SAMPLES

DEFAULTS: dict[str, dict[str, Any]] = {
    "UNREGISTER": {},
    "INTENT": {},
    "EXEC_REQUEST": {},
    "FETCH": {},
    "MAIL": {},
    "DISCOVER": {},
    "AGENTS": {},
    "WATCH": {},
    "WATCHING": {},
    "REVOKE": {},
    "UNREGISTERED": {},
    "PROGRESS": {},
    "CANCEL": {},
    "JOBS": {},
    "DEAD_LETTERS": {},
    "JOB_LIST": {},
    "LOOKED": {},
    "LIST_SERVERS": {},
    "ICE_SERVERS": {},
}
BAD: list[tuple[str, dict[str, Any]]] = [
    ("REGISTER", {}),
    ("REGISTER", {"public_key": "k" * 65}),
    ("REGISTER", {"public_key": "k", "name": "a\nb"}),
    ("REGISTER", {"public_key": "k", "name": "\x1b[2J"}),
    ("REGISTER", {"public_key": "k", "name": "n" * 257}),
    ("REGISTER", {"public_key": "k", "capabilities": ["c"] * 33}),
    ("REGISTER", {"public_key": "k", "capabilities": ["a b"]}),
    ("REGISTER", {"public_key": "k", "capabilities": [".hidden"]}),
    ("REGISTER", {"public_key": "k", "capabilities": ["text\n"]}),
    ("REGISTER", {"public_key": "k", "codecs": []}),
    ("REGISTER", {"public_key": "k", "codecs": [2**53]}),
    ("REGISTER", {"public_key": "k", "codecs": [1] * 9}),
    ("REGISTER", {"public_key": "k", "policy": "friends"}),
    ("REGISTER", {"public_key": "k", "callers": [BOB.did] * 257}),
    ("OFFER", {"sdp": ""}),
    ("OFFER", {"sdp": "v" * 16385}),
    ("ANSWER", {"sdp": "v", "offer_hash": "c2hvcnQ="}),
    ("ICE_CANDIDATE", {"candidate": "c" * 1025}),
    ("ICE_CANDIDATE", {"candidate": "c", "more": [{"candidate": "c"}] * 33}),
    ("BYE", {}),
    ("HELLO", {"session": "s-1", "role": "offerer"}),
    ("ICE_SERVERS", {"servers": [{"urls": []}]}),
    ("ICE_SERVERS", {"servers": [{"urls": ["stun:a"]}] * 9}),
    ("INCIDENT", {"event": "e" * 65}),
    ("EXEC_REQUEST", {"args": []}),
    ("EXEC_REQUEST", {"timeout_ms": -1}),
    ("EXEC_RESPONSE", {"status": "maybe"}),
    ("ERROR", {"code": "TIMEOUT"}),
    ("PING", {"sequence": -1}),
    ("PING", {"sequence": "1"}),
    ("PONG", {}),
    ("MESSAGE", {}),
    ("RECEIPT", {"items": []}),
    ("RECEIPT", {"items": [{"id": "1", "status": "stored"}] * 257}),
    ("RECEIPT", {"items": [{"id": "1", "status": "read"}]}),
    ("RECEIPT", {"items": [{"id": "a b", "status": "stored"}]}),
    ("FETCH", {"limit": 0}),
    ("FETCH", {"limit": 101}),
    ("FETCH", {"after": 2**53}),
    ("ACK", {}),
    ("RESOLVE", {"dids": []}),
    ("RESOLVE", {"dids": [BOB.did] * 101}),
    ("RESOLVE", {"dids": ["d" * 65]}),
    ("WATCH", {"dids": [BOB.did] * 101}),
    ("PROGRESS", {"percent": 100.5}),
    ("CHUNK", {"index": -1}),
    ("CHUNK", {"index": 0, "digest": "0" * 65}),
    ("RESUME", {}),
    ("SCHEDULE", {"envelope": "c2VhbGVk", "policy": {"strategy": "random"}}),
    ("SCHEDULE", {"envelope": "c2VhbGVk", "policy": {"jitter": 1.5}}),
    ("RETURN", {"envelope": "c2VhbGVk"}),
    ("RETURN", {"envelope": "c2VhbGVk", "sequence": 1, "problem": "no paper"}),
    ("WITHDRAW", {"job": "z6Mk"}),
    ("WITHDRAW", {"job": "z6Mk.*"}),
    ("WITHDRAW", {"job": "z6Mk.id\n"}),
    ("JOBS", {"state": "lost"}),
    ("JOBS", {"limit": 101}),
    ("PLACE", {"items": []}),
    ("LOOK", {"sequences": []}),
    ("LOOK", {"sequences": [1] * 1001}),
]


@pytest.mark.parametrize("type_", sorted(BODIES))
def test_type_has_a_sample(type_: str) -> None:
    """Every type is tried in every test that tries them all."""
    assert type(SAMPLES[type_]) is BODIES[type_]


@pytest.mark.parametrize("type_", sorted(BODIES))
def test_schema_says_what_is_required(type_: str) -> None:
    """What has a default may be left out, and only that."""
    required = {field.name for field in msgspec.structs.fields(BODIES[type_]) if field.required}

    assert (type_ in DEFAULTS) == (required == set())


@pytest.mark.parametrize(("type_", "members"), DEFAULTS.items(), ids=list(DEFAULTS))
def test_empty_body_takes_the_defaults(type_: str, members: dict[str, Any]) -> None:
    """An empty body is a whole one, and is written as an empty one."""
    body = msgspec.convert(members, BODIES[type_])

    assert b"{}" == msgspec.json.encode(body)


@pytest.mark.parametrize(("type_", "members"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_body_outside_its_bounds_is_refused(type_: str, members: dict[str, Any]) -> None:
    """Every field has a form and a bound, and what a remote says beyond them is no body."""
    for decode, encode in (
        (msgspec.json.Decoder(BODIES[type_]).decode, msgspec.json.encode),
        (msgspec.msgpack.Decoder(BODIES[type_]).decode, msgspec.msgpack.encode),
    ):
        with pytest.raises(msgspec.ValidationError):
            decode(encode(members))


@pytest.mark.parametrize("body", SAMPLES.values(), ids=list(SAMPLES))
def test_body_cannot_be_changed(body: Body) -> None:
    """A body is a value."""
    field = msgspec.structs.fields(body)[0].name

    with pytest.raises(AttributeError):
        setattr(body, field, None)
