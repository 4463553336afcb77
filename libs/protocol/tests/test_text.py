"""The JSON envelope and its text frames."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.bodies import MailItem, Message
from aiconexus.protocol.errors import EnvelopeTooLarge, MalformedEnvelope, UnsupportedVersion
from aiconexus.protocol.limits import REPLY_MAX_BYTES, TEXT_MAX_BYTES
from aiconexus.protocol.seal import Codec, Sealed, peek, split, unseal
from aiconexus.protocol.text import canonical, envelope_of, frame_of, milliseconds_of, parts_of, timestamp_of

from .samples import ALICE, BOB, NOW_MS, id_of, sealed
from .values import json_values

JCS = Path(__file__).parent.parent / "vectors" / "jcs"
NAMES = [path.name.removesuffix(".input.json") for path in sorted(JCS.glob("*.input.json"))]
LETTER = split(sealed(Message(content="hello"), codec=Codec.JSON))
MEMBERS: dict[str, Any] = json.loads(LETTER.payload)
FRAME = frame_of(LETTER.payload, LETTER.signature)

# RFC 8785 appendix B: the bits of a double and its text.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


def without(*names: str) -> dict[str, Any]:
    """The members of a good envelope, but these."""
    return {name: value for name, value in MEMBERS.items() if name not in names}


@pytest.mark.parametrize("name", NAMES)
def test_reference_data_of_rfc_8785(name: str) -> None:
    """The reference input has the reference output, byte for byte."""
    value = msgspec.json.decode((JCS / f"{name}.input.json").read_bytes())

    assert (JCS / f"{name}.output.json").read_bytes() == canonical(value)


@pytest.mark.parametrize(("bits", "expected"), NUMBERS.items(), ids=list(NUMBERS))
def test_numbers_of_rfc_8785(bits: str, expected: str) -> None:
    """Appendix B: a double has one text."""
    (number,) = struct.unpack(">d", bytes.fromhex(bits))

    assert expected == canonical(number).decode()


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), 2**53, -(2**53), 10**400, {1: 2}, "\ud800", {"\ud800": 1}, [object()]],
    ids=["nan", "inf", "-inf", "2^53", "-2^53", "10^400", "key", "surrogate", "surrogate key", "object"],
)
def test_value_without_canonical_form_is_refused(value: Any) -> None:
    """What RFC 8785 cannot write is not written in some other way."""
    with pytest.raises(MalformedEnvelope):
        canonical(value)


def test_bottomless_value_is_refused() -> None:
    """A list that holds itself is malformed, not fatal."""
    value: list[Any] = []
    value.append(value)

    with pytest.raises(MalformedEnvelope):
        canonical(value)


@given(json_values)
def test_canonical_form_is_a_fixed_point(value: Any) -> None:
    """Writing what was read from a canonical text gives the same text and the same value."""
    text = canonical(value)

    assert text == canonical(json.loads(text))
    assert value == json.loads(text)


def test_payload_reads_as_it_was_written() -> None:
    """The signed members are those of the envelope."""
    envelope = envelope_of(LETTER.payload)

    assert {
        "id": envelope.id,
        "correlation_id": None,
        "timestamp": timestamp_of(NOW_MS),
        "from": ALICE.did,
        "to": BOB.did,
        "type": "MESSAGE",
        "payload": {"content": "hello"},
        "version": "1.0",
    } == MEMBERS
    assert (id_of("MESSAGE"), NOW_MS, 0) == (envelope.id, envelope.created_ms, envelope.expires_ms)


@pytest.mark.parametrize("name", list(MEMBERS))
def test_missing_member_is_refused(name: str) -> None:
    """All eight signed members are required, null or not."""
    with pytest.raises(MalformedEnvelope):
        envelope_of(canonical(without(name)))


@pytest.mark.parametrize("name", ["extra", "signature", "delivery", "expires_ms", "codec", ""])
def test_unknown_member_is_refused(name: str) -> None:
    """The signed object has no ninth member."""
    with pytest.raises(MalformedEnvelope):
        envelope_of(canonical({**MEMBERS, name: None}))


WRONG_MEMBERS = {
    "id empty": {"id": ""},
    "id number": {"id": 1},
    "id with a line end": {"id": "a\n"},
    "id with a header": {"id": "a\r\nNats-Rollup: all"},
    "id with a space": {"id": "a b"},
    "id of 65 characters": {"id": "a" * 65},
    "correlation_id empty": {"correlation_id": ""},
    "from null": {"from": None},
    "from of 65 characters": {"from": "d" * 65},
    "to number": {"to": 1},
    "type empty": {"type": ""},
    "type of 33 characters": {"type": "T" * 33},
    "timestamp number": {"timestamp": NOW_MS},
    "timestamp without milliseconds": {"timestamp": "2026-01-01T00:00:00Z"},
    "timestamp with microseconds": {"timestamp": "2026-01-01T00:00:00.000000Z"},
    "timestamp with offset": {"timestamp": "2026-01-01T00:00:00.000+00:00"},
    "timestamp with a space": {"timestamp": "2026-01-01 00:00:00.000Z"},
    "timestamp in small letters": {"timestamp": "2026-01-01t00:00:00.000z"},
    "timestamp with a line end": {"timestamp": "2026-01-01T00:00:00.000Z\n"},
    "timestamp in other digits": {"timestamp": "٢٠٢٦-01-01T00:00:00.000Z"},
    "leap second": {"timestamp": "2026-12-31T23:59:60.000Z"},
    "hour 24": {"timestamp": "2026-01-01T24:00:00.000Z"},
    "day 30 of February": {"timestamp": "2026-02-30T00:00:00.000Z"},
    "before the epoch": {"timestamp": "1969-12-31T23:59:59.999Z"},
    "version number in the wrong form": {"version": [1]},
    "version true": {"version": True},
}


@pytest.mark.parametrize("change", WRONG_MEMBERS.values(), ids=list(WRONG_MEMBERS))
def test_member_of_the_wrong_form_is_refused(change: dict[str, Any]) -> None:
    """Each member has its form, and no other is guessed at."""
    with pytest.raises(MalformedEnvelope):
        envelope_of(canonical({**MEMBERS, **change}))


@pytest.mark.parametrize("version", ["1.1", "2.0", "1", "", 1, 2, 1.5], ids=repr)
def test_other_version_is_named(version: Any) -> None:
    """An envelope of another version is told so, whatever else is wrong with it."""
    with pytest.raises(UnsupportedVersion):
        envelope_of(canonical({**MEMBERS, "version": version}))
    with pytest.raises(UnsupportedVersion):
        envelope_of(canonical({"version": version}))


NOT_CANONICAL = {
    "white space": json.dumps(MEMBERS, separators=(", ", ":"), sort_keys=True).encode(),
    "order": b'{"version":"1.0",' + LETTER.payload[1:].replace(b',"version":"1.0"', b""),
    "escaped solidus": LETTER.payload.replace(b"did:", b"did\\u003a"),
    "repeated member": LETTER.payload[:-1] + b',"version":"1.0"}',
    "float": LETTER.payload.replace(b'"hello"', b"1.0"),
    "minus zero": LETTER.payload.replace(b'"hello"', b"-0"),
    "exponent": LETTER.payload.replace(b'"hello"', b"1e2"),
    "2^53": LETTER.payload.replace(b'"hello"', b"9007199254740992"),
    "2^53 + 1": LETTER.payload.replace(b'"hello"', b"9007199254740993"),
    "10^400": LETTER.payload.replace(b'"hello"', b"1" + b"0" * 400),
    "10^5000": LETTER.payload.replace(b'"hello"', b"1" + b"0" * 5000),
    "1e400": LETTER.payload.replace(b'"hello"', b"1e400"),
    "NaN": LETTER.payload.replace(b'"hello"', b"NaN"),
    "Infinity": LETTER.payload.replace(b'"hello"', b"Infinity"),
    "lone surrogate": LETTER.payload.replace(b'"hello"', b'"\\ud800"'),
    "encoded surrogate": LETTER.payload.replace(b'"hello"', b'"\xed\xa0\x80"'),
    "no utf-8": LETTER.payload.replace(b'"hello"', b'"\xff"'),
    "byte order mark": b"\xef\xbb\xbf" + LETTER.payload,
    "trailing line end": LETTER.payload + b"\n",
    "deep": LETTER.payload.replace(b'"hello"', b"[" * 30_000 + b"]" * 30_000),
    "cut": LETTER.payload[:-1],
    "empty": b"",
    "array": b"[" + LETTER.payload + b"]",
}


@pytest.mark.parametrize("payload", NOT_CANONICAL.values(), ids=list(NOT_CANONICAL))
def test_payload_in_another_form_is_refused(payload: bytes) -> None:
    """The signed bytes are the RFC 8785 form, so one envelope has one signature."""
    with pytest.raises(MalformedEnvelope):
        envelope_of(payload)


def test_frame_goes_there_and_back() -> None:
    """A frame is the nine fields; what is taken from it verifies."""
    payload, signature, item = parts_of(FRAME)

    assert (LETTER.payload, LETTER.signature, None) == (payload, signature, item)
    assert {*MEMBERS, "signature"} == set(json.loads(FRAME))
    assert unseal(Sealed(Codec.JSON, payload, signature)).envelope == peek(LETTER)


def test_frame_may_be_written_in_any_way() -> None:
    """White space, order and escapes of a frame are free: the reader restores the signed form."""
    pretty = json.dumps(dict(reversed(json.loads(FRAME).items())), indent=2)

    assert (LETTER.payload, LETTER.signature, None) == parts_of(pretty)


@pytest.mark.parametrize("previous", [None, 40])
def test_delivered_frame_names_its_place(previous: int | None) -> None:
    """A copy of the mailbox carries its place, which is not signed."""
    expected = MailItem(sequence=41, previous=previous, codec=2, payload=LETTER.payload, signature=LETTER.signature)

    assert (LETTER.payload, LETTER.signature, expected) == parts_of(frame_of(*parts_of(FRAME)[:2], 41, previous))


def test_opaque_frame_carries_the_other_codec() -> None:
    """A binary envelope reaches a JSON agent whole, as an entry of its mailbox."""
    binary = split(sealed(Message(content="hello")))
    item = MailItem(sequence=41, previous=40, codec=1, payload=binary.payload, signature=binary.signature)
    payload, signature, read = parts_of(msgspec.json.encode(item))

    assert (b"", b"", item) == (payload, signature, read)


SIGNATURE = base64.b64encode(LETTER.signature).decode()
BAD_FRAMES: dict[str, Any] = {
    "no signature": MEMBERS,
    "signature null": {**MEMBERS, "signature": None},
    "signature number": {**MEMBERS, "signature": 1},
    "signature without padding": {**MEMBERS, "signature": SIGNATURE.rstrip("=")},
    "signature in hex": {**MEMBERS, "signature": "zz"},
    "signature with white space": {**MEMBERS, "signature": SIGNATURE + "\n"},
    "signature in base64url": {**MEMBERS, "signature": "-_" * 43 + "=="},
    "delivery number": {**MEMBERS, "signature": SIGNATURE, "delivery": 1},
    "delivery without place": {**MEMBERS, "signature": SIGNATURE, "delivery": {"previous": None}},
    "delivery without place before": {**MEMBERS, "signature": SIGNATURE, "delivery": {"sequence": 1}},
    "delivery at a negative place": {**MEMBERS, "signature": SIGNATURE, "delivery": {"sequence": -1, "previous": 0}},
    "opaque without payload": {"codec": 1, "sequence": 1, "signature": SIGNATURE},
    "opaque of a strange codec": {"codec": 10**30, "sequence": 1, "payload": "", "signature": SIGNATURE},
    "opaque with nine fields": {**MEMBERS, "signature": SIGNATURE, "codec": 2},
    "array": [],
    "string": "frame",
    "null": None,
}


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=list(BAD_FRAMES))
def test_frame_of_another_form_is_refused(frame: Any) -> None:
    """A frame is the nine fields or the opaque form."""
    with pytest.raises(MalformedEnvelope):
        parts_of(json.dumps(frame))


@pytest.mark.parametrize("frame", ["", "{", "[" * 90_000, '{"a":' * 15_000, '"\ud800"', b"\xff", b"\0"], ids=repr)
def test_frame_that_is_no_json_is_refused(frame: str | bytes) -> None:
    """Bytes that are no JSON object raise nothing but MalformedEnvelope."""
    with pytest.raises(MalformedEnvelope):
        parts_of(frame)


def test_frame_beyond_the_limit_is_refused() -> None:
    """The size comes before the parser; who expects an answer of a service says so."""
    frame = FRAME[:-1] + b" " * TEXT_MAX_BYTES + b"}"

    with pytest.raises(EnvelopeTooLarge):
        parts_of(frame)
    assert parts_of(FRAME) == parts_of(frame, REPLY_MAX_BYTES)


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_time_goes_there_and_back(milliseconds: int) -> None:
    """Every millisecond from the epoch to the year 9999 has one text."""
    text = timestamp_of(milliseconds)

    assert milliseconds == milliseconds_of(text)
    assert (24, "Z") == (len(text), text[-1])


@pytest.mark.parametrize("milliseconds", [253_402_300_800_000, 2**53 - 1, 2**70], ids=["year 10000", "2^53", "2^70"])
def test_time_without_text_is_refused(milliseconds: int) -> None:
    """Beyond the year 9999 RFC 3339 ends."""
    with pytest.raises(MalformedEnvelope):
        timestamp_of(milliseconds)
