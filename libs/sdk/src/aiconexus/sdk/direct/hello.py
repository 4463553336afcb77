"""
HELLO: the proof that a channel belongs to two DIDs, built and checked.

DTLS proves that the other end has the key of the fingerprint that we were told; this proves who told it, and that both
ends mean the same session.
"""

import msgspec

from aiconexus.protocol import text
from aiconexus.protocol.direct_errors import HelloRefused
from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import EnvelopeError, IdentityError
from aiconexus.protocol.sdp import Description
from aiconexus.protocol.seal import Codec, Letter, Sealed, split, unseal
from aiconexus.protocol.signal_bodies import Hello

OFFERER, ANSWERER = "offerer", "answerer"
OPPOSITE = {OFFERER: ANSWERER, ANSWERER: OFFERER}


class Bond(msgspec.Struct, frozen=True):
    """What both ends of a session must agree on, as one of them sees it."""

    us: str
    them: str
    session: str
    role: str
    ours: Description
    theirs: Description
    offer_hash: bytes


def hello_of(bond: Bond) -> Hello:
    """What we say first."""
    return Hello(
        session=bond.session,
        role=bond.role,
        fingerprints=_strong(bond.ours),
        peer_fingerprints=_strong(bond.theirs),
        offer_hash=bond.offer_hash,
    )


def check_hello(frame: bytes | str, bond: Bond, now_ms: int) -> None:
    """
    Believe the other side, or not.

    Args:
        frame: The first message that came through the system channel.
        bond: What it has to say.
        now_ms: Our clock.

    Raises:
        HelloRefused: If it is no HELLO, or not the one of this session by this peer.

    """
    letter = _read(frame, bond.them)
    envelope = letter.envelope
    if envelope.sender != bond.them:
        raise _refused(bond, "hello_invalid", f"{envelope.sender} answers")
    if envelope.recipient != bond.us:
        raise _refused(bond, "hello_invalid", "its HELLO is meant for somebody else")
    try:
        check_fresh(envelope, now_ms)
        body = letter.body
    except EnvelopeError as error:
        raise _refused(bond, "hello_invalid", str(error)) from error
    if not isinstance(body, Hello):
        raise _refused(bond, "hello_missing", f"it begins with {body.TYPE}")
    _check_body(body, bond)


def frame_of(sealed: bytes) -> bytes | str:
    """A sealed envelope as a message of the system channel: binary, or the text of ioap.v1."""
    parts = split(sealed)
    if parts.codec == Codec.MSGPACK:
        return sealed
    return text.frame_of(parts.payload, parts.signature).decode()


def _check_body(body: Hello, bond: Bond) -> None:
    if body.session != bond.session:
        raise _refused(bond, "hello_invalid", "its HELLO is that of another session")
    if body.role != OPPOSITE[bond.role]:
        raise _refused(bond, "hello_invalid", "it claims our role")
    if set(body.fingerprints) != set(_strong(bond.theirs)):
        raise _refused(bond, "fingerprint_mismatch", "its fingerprints are not those of its description")
    if set(body.peer_fingerprints) != set(_strong(bond.ours)):
        raise _refused(bond, "fingerprint_mismatch", "it was given other fingerprints than ours")
    if body.offer_hash != bond.offer_hash:
        raise _refused(bond, "offer_hash_mismatch", "it means another offer")


def _read(frame: bytes | str, did: str) -> Letter:
    try:
        if isinstance(frame, bytes):
            return unseal(frame)
        if not frame.startswith("{"):
            raise HelloRefused(did, "hello_missing", "it says something else first")
        payload, signature, _ = text.parts_of(frame)
        return unseal(Sealed(Codec.JSON, payload, signature))
    except (EnvelopeError, IdentityError) as error:
        raise HelloRefused(did, "hello_invalid", str(error)) from error


def _strong(description: Description) -> tuple[str, ...]:
    """The SHA-256 fingerprints, which every stack has."""
    return (description.required,)


def _refused(bond: Bond, event: str, reason: str) -> HelloRefused:
    return HelloRefused(bond.them, event, reason)
