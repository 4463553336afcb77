"""HELLO is built and checked without a channel."""

import os
from typing import Any

import msgspec
import pytest

from aiconexus.protocol import text
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.direct_errors import HelloRefused
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.sdp import Description
from aiconexus.protocol.seal import Codec, compose, split
from aiconexus.protocol.signal_bodies import Hello
from aiconexus.sdk.direct.hello import ANSWERER, OFFERER, Bond, check_hello, frame_of, hello_of

ALICE, BOB = SigningKey(os.urandom(32)), SigningKey(os.urandom(32))
NOW = 1_800_000_000_000


def description(byte: str) -> Description:
    """One with a SHA-256 and a SHA-512 fingerprint."""
    return Description(
        (f"sha-256 {':'.join([byte] * 32)}", f"sha-512 {':'.join([byte] * 64)}"),
        ("host",),
    )


OURS = Bond(
    us=ALICE.did,
    them=BOB.did,
    session="s",
    role=OFFERER,
    ours=description("AA"),
    theirs=description("BB"),
    offer_hash=bytes(32),
)
THEIRS = Bond(
    us=BOB.did,
    them=ALICE.did,
    session="s",
    role=ANSWERER,
    ours=description("BB"),
    theirs=description("AA"),
    offer_hash=bytes(32),
)


def said(
    body: Any = None, key: SigningKey = BOB, to: str = ALICE.did, codec: Codec = Codec.MSGPACK, at: int = NOW
) -> bytes | str:
    """What comes through the channel."""
    return frame_of(compose(body or hello_of(THEIRS), key, to, id_="hello", now_ms=at, codec=codec))


def changed(**fields: Any) -> Hello:
    """Bob's HELLO with something else in it."""
    return msgspec.structs.replace(hello_of(THEIRS), **fields)


@pytest.mark.parametrize("codec", list(Codec))
def test_each_side_believes_the_other(codec: Codec) -> None:
    """What one side builds is what the other expects, in either codec."""
    check_hello(said(codec=codec), OURS, NOW)
    check_hello(said(hello_of(OURS), ALICE, BOB.did, codec), THEIRS, NOW)


def test_json_hello_is_a_text_message() -> None:
    """An agent of ioap.v1 reads its nine fields."""
    frame = said(codec=Codec.JSON)

    assert isinstance(frame, str)
    assert text.parts_of(frame)[1]


REFUSED = [
    pytest.param(changed(session="other"), "hello_invalid", id="session"),
    pytest.param(changed(role=OFFERER), "hello_invalid", id="our role"),
    pytest.param(changed(role="observer"), "hello_invalid", id="no role"),
    pytest.param(changed(fingerprints=()), "fingerprint_mismatch", id="no fingerprints"),
    pytest.param(changed(fingerprints=description("CC").fingerprints), "fingerprint_mismatch", id="fingerprints"),
    pytest.param(changed(peer_fingerprints=(description("CC").required,)), "fingerprint_mismatch", id="ours"),
    pytest.param(changed(offer_hash=bytes(31) + b"x"), "offer_hash_mismatch", id="offer"),
    pytest.param(Message(content="hello"), "hello_missing", id="another body"),
]


@pytest.mark.parametrize(("body", "event"), REFUSED)
def test_what_does_not_fit_is_refused(body: Any, event: str) -> None:
    """Each part of HELLO counts."""
    with pytest.raises(HelloRefused) as refused:
        check_hello(said(body), OURS, NOW)

    assert refused.value.event == event
    assert refused.value.did == BOB.did


def test_wrong_signer_addressee_and_time_are_refused() -> None:
    """By whom, to whom and when count as well."""
    frames = [
        said(key=SigningKey(os.urandom(32))),
        said(to=BOB.did),
        said(at=NOW - 61_000),
        said(at=NOW + 61_000),
    ]
    for frame in frames:
        with pytest.raises(HelloRefused) as refused:
            check_hello(frame, OURS, NOW)

        assert refused.value.event == "hello_invalid"


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        pytest.param(b"", "hello_invalid", id="nothing"),
        pytest.param(b"\x93\x01\xc4\x00\xc4\x00", "hello_invalid", id="empty parts"),
        pytest.param("{}", "hello_invalid", id="empty object"),
        pytest.param('["ping",1]', "hello_missing", id="a word"),
        pytest.param("", "hello_missing", id="empty text"),
    ],
)
def test_other_frames_are_refused(frame: bytes | str, event: str) -> None:
    """Whatever else comes first is no HELLO."""
    with pytest.raises(HelloRefused) as refused:
        check_hello(frame, OURS, NOW)

    assert refused.value.event == event


def test_changed_bytes_are_refused() -> None:
    """One bit of the signature, and it is nobody's."""
    frame = said()
    assert isinstance(frame, bytes)

    with pytest.raises(HelloRefused, match="signature"):
        check_hello(frame[:-1] + bytes([frame[-1] ^ 1]), OURS, NOW)


def test_binary_frame_is_the_sealed_envelope() -> None:
    """Nothing is put around it."""
    frame = said()

    assert isinstance(frame, bytes)
    assert split(frame).codec == Codec.MSGPACK
