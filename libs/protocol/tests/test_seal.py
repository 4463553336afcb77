"""Sealing and unsealing in both codecs."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol import bodies
from aiconexus.protocol.bodies import Body, ExecRequest, Message
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import (
    AiconexusError,
    EnvelopeTooLarge,
    InvalidDid,
    InvalidSignature,
    MalformedEnvelope,
    UnsupportedType,
    UnsupportedVersion,
)
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES, REPLY_MAX_BYTES
from aiconexus.protocol.seal import (
    DOMAINS,
    Codec,
    Sealed,
    check_seal,
    compose,
    peek,
    read_body,
    seal,
    split,
    unseal,
    wrap,
    write_body,
)
from aiconexus.protocol.vocabulary import UNADDRESSED_TYPES

from .samples import ALICE, BOB, MALLORY, NOW_MS, SAMPLES, id_of, sealed
from .strange_dids import BAD_DIDS
from .values import json_values, texts

LETTER = split(sealed(Message(content="hello")))
MEMBERS: dict[str, Any] = msgspec.msgpack.decode(LETTER.payload)
both = pytest.mark.parametrize("codec", Codec, ids=lambda codec: codec.name.lower())
codecs = st.sampled_from(Codec)
bodies_of_any_type = st.sampled_from(list(SAMPLES.values()))


def signed(members: Any, key: SigningKey = ALICE) -> Sealed:
    """Whatever members somebody may sign."""
    payload = msgspec.msgpack.encode(members)
    return Sealed(1, payload, key.sign(DOMAINS[1] + payload))


def addressed(type_: str, body: msgspec.Raw, **fields: Any) -> Envelope:
    """From Alice to Bob."""
    return Envelope(
        version=1,
        id="1",
        type=type_,
        sender=ALICE.did,
        recipient=BOB.did,
        created_ms=NOW_MS,
        body=body,
        **fields,
    )


@both
@pytest.mark.parametrize("body", SAMPLES.values(), ids=list(SAMPLES))
def test_every_type_arrives_as_it_was_sent(body: Body, codec: Codec) -> None:
    """What is sealed in a codec unseals to the same envelope and body."""
    letter = unseal(sealed(body, codec=codec, in_reply_to=id_of("request")))

    assert body == letter.body
    assert (body.TYPE, ALICE.did, NOW_MS) == (letter.envelope.type, letter.envelope.sender, letter.envelope.created_ms)
    assert id_of("request") == letter.envelope.in_reply_to


@given(json_values, codecs)
def test_any_content_arrives_as_it_was_sent(content: Any, codec: Codec) -> None:
    """A message may say whatever JSON can say, in either codec."""
    assert Message(content=content) == unseal(sealed(Message(content=content), codec=codec)).body


@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "expires_ms": st.integers(0, 2**53 - 1),
            "thread": st.text("abc é世", max_size=128),
            "in_reply_to": st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True),
            "sequence": st.integers(0, 2**53 - 1),
            "traceparent": st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            "content_type": st.just("text/plain"),
            "encryption": st.just("none"),
        },
    )
)
def test_every_field_of_the_binary_form_arrives(fields: dict[str, Any]) -> None:
    """The binary form carries all fields of the envelope."""
    envelope = unseal(sealed(Message(content=1), **fields)).envelope

    assert fields == {name: getattr(envelope, name) for name in fields}


@given(st.dictionaries(texts.map(lambda text: f"x-{text}"), json_values, max_size=4))
def test_unknown_fields_of_the_binary_form_are_ignored(extra: dict[str, Any]) -> None:
    """A later release may say more, in the envelope and in the body; the signature covers it."""
    letter = unseal(signed({**extra, **MEMBERS, "body": {**extra, "content": "hello"}}))

    assert Message(content="hello") == letter.body
    assert id_of("MESSAGE") == letter.envelope.id


def test_unknown_fields_of_a_json_body_are_ignored() -> None:
    """The strict nine fields grow in their payload."""
    envelope = addressed("PING", msgspec.Raw(b'{"sequence":1,"later":{"a":[]}}'))

    assert bodies.Ping(sequence=1) == unseal(seal(envelope, ALICE, Codec.JSON)).body


@both
def test_parts_and_bytes_are_read_alike(codec: Codec) -> None:
    """Parts that came in a frame or in MAIL unseal to the same letter as their bytes."""
    data = sealed(Message(content="hello"), codec=codec)

    assert unseal(data) == unseal(split(data))
    assert data == wrap(split(data))


def test_further_elements_are_ignored() -> None:
    """A copy from the edge has sequence and previous behind the three parts, and more may follow."""
    data = msgspec.msgpack.encode([1, LETTER.payload, LETTER.signature, 41, None, "later"])

    assert split(data) == LETTER


BAD_WRAPPERS = {
    "empty": b"",
    "nil": b"\xc0",
    "map": msgspec.msgpack.encode({"codec": 1, "payload": LETTER.payload, "signature": LETTER.signature}),
    "two elements": msgspec.msgpack.encode([1, LETTER.payload]),
    "text payload": msgspec.msgpack.encode([1, "text", LETTER.signature]),
    "text signature": msgspec.msgpack.encode([1, LETTER.payload, "text"]),
    "codec true": msgspec.msgpack.encode([True, LETTER.payload, LETTER.signature]),
    "codec 1.0": msgspec.msgpack.encode([1.0, LETTER.payload, LETTER.signature]),
    "codec 0": msgspec.msgpack.encode([0, LETTER.payload, LETTER.signature]),
    "codec 3": msgspec.msgpack.encode([3, LETTER.payload, LETTER.signature]),
    "codec 2^64 - 1": msgspec.msgpack.encode([2**64 - 1, LETTER.payload, LETTER.signature]),
    "trailing byte": wrap(LETTER) + b"\0",
    "cut": wrap(LETTER)[:-1],
    "deep": b"\x91" * 60_000,
    "claims 4 GB": b"\xdd\xff\xff\xff\xff\x01",
    "payload claims 4 GB": b"\x93\x01\xc6\xff\xff\xff\xff",
}


@pytest.mark.parametrize("data", BAD_WRAPPERS.values(), ids=list(BAD_WRAPPERS))
def test_other_wrappers_are_refused(data: bytes) -> None:
    """A sealed envelope is an array of a known codec and two binaries."""
    with pytest.raises(MalformedEnvelope):
        split(data)


@pytest.mark.parametrize("codec", [0, 3, 99, 10**30])
def test_parts_of_an_unknown_codec_are_refused(codec: int) -> None:
    """An entry of MAIL with a codec of a later release is refused, not fatal."""
    parts = Sealed(codec, LETTER.payload, LETTER.signature)

    with pytest.raises(MalformedEnvelope, match="unknown codec"):
        unseal(parts)
    with pytest.raises(MalformedEnvelope, match="unknown codec"):
        peek(parts)


@both
def test_limit_holds_for_bytes_and_parts(codec: Codec) -> None:
    """An envelope of the limit passes, one byte more does not, however it came."""
    spare = ENVELOPE_MAX_BYTES - len(sealed(Message(content="x" * 40_000), codec=codec)) + 40_000
    data = sealed(Message(content="x" * spare), codec=codec)
    larger = sealed(Message(content="x" * (spare + 1)), codec=codec, limit=REPLY_MAX_BYTES)

    assert ENVELOPE_MAX_BYTES == len(data)
    unseal(data)
    for way in (larger, split(larger, REPLY_MAX_BYTES)):
        with pytest.raises(EnvelopeTooLarge):
            unseal(way)
        unseal(way, REPLY_MAX_BYTES)


@both
def test_nobody_seals_what_nobody_would_read(codec: Codec) -> None:
    """The sender learns at once that its envelope is too large."""
    with pytest.raises(EnvelopeTooLarge):
        sealed(Message(content="x" * ENVELOPE_MAX_BYTES), codec=codec)


@pytest.mark.parametrize("version", [0, 2, -1, 1.5, "1", "1.0"], ids=repr)
def test_other_version_is_named(version: Any) -> None:
    """An envelope of another version is told so, whatever else is wrong with it."""
    for members in ({**MEMBERS, "version": version}, {"version": version, "id": []}):
        with pytest.raises(UnsupportedVersion):
            unseal(signed(members))


@pytest.mark.parametrize("version", [None, True, [1], {"major": 1}, b"1"], ids=repr)
def test_version_of_no_form_is_malformed(version: Any) -> None:
    """What is neither number nor text is no version."""
    with pytest.raises(MalformedEnvelope):
        unseal(signed({**MEMBERS, "version": version}))


def test_bottomless_version_is_malformed() -> None:
    """A nested version is not kept to break whoever prints it later."""
    payload = b"\x81\xa7version" + b"\x91" * 900 + b"\xc0"

    with pytest.raises(MalformedEnvelope):
        unseal(Sealed(1, payload, bytes(64)))


BAD_MEMBERS: dict[str, Any] = {
    **{f"no {name}": {key: value for key, value in MEMBERS.items() if key != name} for name in MEMBERS},
    "array": list(MEMBERS.values()),
    "id empty": {**MEMBERS, "id": ""},
    "id with a header": {**MEMBERS, "id": "a\r\nNats-Rollup: all"},
    "id with a line end": {**MEMBERS, "id": "a\n"},
    "id of 65 characters": {**MEMBERS, "id": "a" * 65},
    "created before the epoch": {**MEMBERS, "created_ms": -1},
    "created beyond 2^53": {**MEMBERS, "created_ms": 2**53},
    "created as a float": {**MEMBERS, "created_ms": 1.0},
    "created as a text": {**MEMBERS, "created_ms": "1"},
    "expires null": {**MEMBERS, "expires_ms": None},
    "sequence true": {**MEMBERS, "sequence": True},
    "thread with a line end": {**MEMBERS, "thread": "a\n"},
    "thread of 129 characters": {**MEMBERS, "thread": "a" * 129},
    "traceparent with a header": {**MEMBERS, "traceparent": "a\r\nNats-Rollup: all"},
    "type empty": {**MEMBERS, "type": ""},
    "message to nobody": {**MEMBERS, "to": None},
    "platform to somebody": {**MEMBERS, "type": "PLATFORM"},
}


@pytest.mark.parametrize("members", BAD_MEMBERS.values(), ids=list(BAD_MEMBERS))
def test_envelope_of_another_form_is_refused(members: Any) -> None:
    """A good signature does not mend a bad form."""
    with pytest.raises(MalformedEnvelope):
        unseal(signed(members))


BAD_PAYLOADS = {
    "empty": b"",
    "nil": b"\xc0",
    "trailing byte": LETTER.payload + b"\0",
    "cut": LETTER.payload[:-1],
    "no utf-8": LETTER.payload.replace(b"did:key:", b"did:key\xff", 1),
    "deep body": LETTER.payload.replace(b"\xa5hello", b"\x91" * 60_000 + b"\xc0"),
    "body claims 4 GB": LETTER.payload.replace(b"\xa5hello", b"\xdd\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=list(BAD_PAYLOADS))
def test_payload_that_is_no_msgpack_is_refused(payload: bytes) -> None:
    """Bytes that are no envelope raise nothing but MalformedEnvelope."""
    with pytest.raises(MalformedEnvelope):
        unseal(Sealed(1, payload, ALICE.sign(DOMAINS[1] + payload)))


@pytest.mark.parametrize("did", [did for did in BAD_DIDS.values() if did.isascii() and len(did) <= 64])
def test_sender_without_a_usable_key_is_refused(did: str) -> None:
    """Nobody signs under a name that is not the one text of a good key."""
    with pytest.raises(InvalidDid):
        unseal(signed({**MEMBERS, "from": did}))


@both
def test_somebody_elses_name_is_refused(codec: Codec) -> None:
    """Mallory's signature under Alice's name is a forgery."""
    original = split(sealed(Message(content="hello"), codec=codec))

    with pytest.raises(InvalidSignature):
        unseal(Sealed(codec, original.payload, MALLORY.sign(DOMAINS[codec] + original.payload)))


@pytest.mark.parametrize("domain", [*DOMAINS.values(), b"aiconexus/v2/envelope/msgpack\n", b""])
def test_signature_counts_in_its_domain_only(domain: bytes) -> None:
    """Bytes signed for another purpose are no envelope."""
    genuine = domain == DOMAINS[Codec.MSGPACK]

    assert genuine == _verifies(Sealed(1, LETTER.payload, ALICE.sign(domain + LETTER.payload)))


def test_codecs_are_told_apart_by_the_signature() -> None:
    """What was signed as JSON is not believed as msgpack, and the other way round."""
    json_letter = split(sealed(Message(content="hello"), codec=Codec.JSON))

    for sealed_, codec in ((LETTER, 2), (json_letter, 1)):
        with pytest.raises(AiconexusError):
            unseal(Sealed(codec, sealed_.payload, sealed_.signature))
        with pytest.raises(InvalidSignature):
            check_seal(Sealed(codec, sealed_.payload, sealed_.signature), ALICE.did)


@given(bodies_of_any_type, codecs, st.data())
def test_mutation_is_never_accepted(body: Body, codec: Codec, data: st.DataObject) -> None:
    """Whatever bytes are changed, nothing but the original parts comes out."""
    original = sealed(body, codec=codec)
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(len(original), start + 8)))
    mutant = original[:start] + data.draw(st.binary(max_size=8)) + original[end:]

    try:
        letter = unseal(mutant)
    except AiconexusError:
        return
    assert split(original) == letter.sealed


@given(st.binary(max_size=64), st.sampled_from([*Codec]))
def test_signed_nonsense_has_a_named_error(payload: bytes, codec: Codec) -> None:
    """Who owns a key can sign anything; it is read, or refused by name."""
    with pytest.raises(AiconexusError):
        unseal(Sealed(codec, payload, MALLORY.sign(DOMAINS[codec] + payload)))


@given(st.sampled_from(sorted(SAMPLES)), json_values)
def test_signed_body_of_nonsense_has_a_named_error(type_: str, body: Any) -> None:
    """A body of the wrong form is malformed, whatever it holds."""
    recipient = None if type_ in UNADDRESSED_TYPES else BOB.did
    letter = unseal(signed({**MEMBERS, "type": type_, "to": recipient, "body": body}))

    try:
        read = letter.body
    except MalformedEnvelope:
        return
    assert type_ == read.TYPE


@both
def test_body_of_an_unknown_type_is_refused(codec: Codec) -> None:
    """The envelope of a later type is genuine; its body cannot be read."""
    envelope = addressed("LATER", msgspec.Raw(b"\x80" if codec is Codec.MSGPACK else b"{}"))
    letter = unseal(seal(envelope, ALICE, codec))

    with pytest.raises(UnsupportedType):
        read_body(letter.envelope, codec)


@pytest.mark.parametrize(
    "content",
    [float("nan"), float("inf"), 2**53, float(2**53), 1e20, [{"deep": float("nan")}]],
    ids=["nan", "inf", "2^53", "2.0^53", "1e20", "nested nan"],
)
def test_json_says_nothing_else_instead(content: Any) -> None:
    """What JSON cannot say exactly is refused to its sender, never replaced by null or a rounded number."""
    with pytest.raises(MalformedEnvelope):
        sealed(Message(content=content), codec=Codec.JSON)


@both
def test_nesting_that_writers_may_use_is_read(codec: Codec) -> None:
    """64 levels arrive, in either codec."""
    content: Any = 1
    for _ in range(60):
        content = [content]

    assert Message(content=content) == unseal(sealed(Message(content=content), codec=codec)).body


def test_keys_of_json_are_texts() -> None:
    """A mapping with other keys is written as JSON does."""
    body = ExecRequest(args={"table": {1: "one"}})

    assert b'{"args":{"table":{"1":"one"}}}' == bytes(write_body(body, Codec.JSON))


def test_compose_is_seal_of_its_parts() -> None:
    """The short form adds nothing: the same facts give the same bytes."""
    envelope = addressed("PING", write_body(bodies.Ping(sequence=1)), thread="t")

    assert seal(envelope, ALICE) == compose(bodies.Ping(sequence=1), ALICE, BOB.did, id_="1", now_ms=NOW_MS, thread="t")


def _verifies(parts: Sealed) -> bool:
    try:
        unseal(parts)
    except InvalidSignature:
        return False
    return True


@both
@pytest.mark.parametrize("content", ["\udcff", {"\ud800": 1}, 2**70], ids=["surrogate", "surrogate key", "2^70"])
def test_what_no_codec_can_say_is_an_error_of_ours(codec: Codec, content: Any) -> None:
    """A text that is no Unicode is the sender's mistake, told before anything is sealed."""
    with pytest.raises(MalformedEnvelope, match="form"):
        write_body(Message(content=content), codec)
