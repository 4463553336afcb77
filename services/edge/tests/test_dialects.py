"""Frames of both subprotocols, and what they carry."""

import base64
import json

import msgspec
import pytest

from aiconexus.edge.dialects import DIALECTS, Binary, Dialect, Text
from aiconexus.protocol import text
from aiconexus.protocol.bodies import Body, Message
from aiconexus.protocol.errors import EnvelopeError, EnvelopeTooLarge, MalformedEnvelope
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES
from aiconexus.protocol.seal import Codec, Sealed, compose, split, unseal, wrap
from aiconexus.protocol.signal_bodies import Offer

KEY = SigningKey(bytes(32))
PEER = SigningKey(bytes(31) + b"\x01").did


def sealed(codec: Codec, body: Body | None = None, limit: int = ENVELOPE_MAX_BYTES) -> bytes:
    """An envelope of a fixed key and time."""
    return compose(body or Offer(sdp="x"), KEY, PEER, id_="i-1", now_ms=1_700_000_000_000, codec=codec, limit=limit)


def test_both_subprotocols_are_known_by_name() -> None:
    """The names are those of the handshake."""
    assert {"aiconexus.v1", "ioap.v1"} == set(DIALECTS)


@pytest.mark.parametrize("codec", list(Codec))
def test_binary_frame_is_the_sealed_envelope(codec: Codec) -> None:
    """In both directions the bytes are those of the sealed envelope, in either codec."""
    data = sealed(codec)

    assert (split(data), data) == Binary().read(data)
    assert data == Binary().write(data)


def test_binary_frame_loses_what_stands_behind_the_signature() -> None:
    """Only the edge may say a place in a mailbox, so a sender's elements are dropped both ways."""
    data = sealed(Codec.MSGPACK)
    longer = data.replace(b"\x93", b"\x95", 1) + b"\x01\x02"

    assert (split(data), data) == Binary().read(longer)
    assert data == Binary().write(longer)


@pytest.mark.parametrize("codec", list(Codec))
def test_binary_mail_has_its_place(codec: Codec) -> None:
    """Mail is an array of five, of which a reader of three reads the envelope."""
    data = sealed(codec)
    frame = Binary().write_mail(data, 7, 5)

    assert [7, 5] == msgspec.msgpack.decode(frame)[3:]
    assert split(data) == split(frame)


def test_text_frame_is_the_nine_members() -> None:
    """What is read from the text written for a JSON envelope is that very envelope."""
    data = sealed(Codec.JSON)
    frame = Text().write(data)

    assert 9 == len(json.loads(frame))
    assert (split(data), data) == Text().read(frame)


def test_white_space_and_order_do_not_matter_in_text() -> None:
    """The canonical form is what was signed, however the frame was written."""
    data = sealed(Codec.JSON)
    members = json.loads(Text().write(data))
    loose = json.dumps(dict(reversed(members.items())), indent=2).encode()

    _, read = Text().read(loose)
    assert "i-1" == unseal(read).envelope.id


def test_text_mail_has_its_place() -> None:
    """JSON mail has a tenth member, which is not signed."""
    frame = json.loads(Text().write_mail(sealed(Codec.JSON), 7, 5))

    assert {"sequence": 7, "previous": 5} == frame["delivery"]


@pytest.mark.parametrize(("place", "expected"), [(None, (0, None)), ((7, 5), (7, 5))], ids=["live", "mail"])
def test_binary_envelope_is_opaque_in_text(place: tuple[int, int] | None, expected: tuple[int, int | None]) -> None:
    """A reader of JSON gets the parts of what is not JSON, to verify as they are."""
    data = sealed(Codec.MSGPACK)
    frame = Text().write(data) if place is None else Text().write_mail(data, *place)
    members = json.loads(frame)
    parts = Sealed(members["codec"], base64.b64decode(members["payload"]), base64.b64decode(members["signature"]))

    assert split(data) == parts
    assert expected == (members["sequence"], members.get("previous"))


@pytest.mark.parametrize("forge", ["delivery", "opaque"])
def test_agent_cannot_write_what_only_the_edge_writes(forge: str) -> None:
    """Neither a place in a mailbox nor the opaque form is accepted from an agent."""
    frame = Text().write_mail(sealed(Codec.JSON), 7, 5) if forge == "delivery" else Text().write(sealed(Codec.MSGPACK))

    with pytest.raises(MalformedEnvelope):
        Text().read(frame)


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [(Binary(), b""), (Binary(), b"\x90"), (Text(), b""), (Text(), b"[]"), (Text(), b"\xff"), (Text(), b"[" * 5000)],
)
def test_garbage_is_an_envelope_error(dialect: Dialect, frame: bytes) -> None:
    """Nothing else is ever raised for a frame."""
    with pytest.raises(EnvelopeError):
        dialect.read(frame)


@pytest.mark.parametrize(("dialect", "codec"), [(Binary(), Codec.MSGPACK), (Text(), Codec.JSON)])
def test_limit_is_that_of_the_envelope(dialect: Dialect, codec: Codec) -> None:
    """An envelope may be as large as the protocol allows, in either form, and not larger."""
    fits = compose_of_size(codec, ENVELOPE_MAX_BYTES)
    large = compose_of_size(codec, ENVELOPE_MAX_BYTES + 1)

    assert fits == dialect.read(dialect.write(fits))[1]
    with pytest.raises(EnvelopeTooLarge):
        dialect.read(dialect.write(large))


def compose_of_size(codec: Codec, size: int) -> bytes:
    """An envelope of so many bytes."""
    overhead = len(sealed(codec, Message(content="x" * 60_000))) - 60_000
    data = sealed(codec, Message(content="x" * (size - overhead)), limit=2**20)
    assert size == len(data)
    return data


def test_text_of_an_envelope_is_what_the_protocol_says() -> None:
    """The frame is that of the protocol's own function."""
    data = sealed(Codec.JSON)
    parts = split(data)

    assert text.frame_of(parts.payload, parts.signature) == Text().write(wrap(parts))
