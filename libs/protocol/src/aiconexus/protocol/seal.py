"""
Sign the bytes that are sent, and believe only what was signed.

A sealed envelope is the msgpack array ``[codec, payload, signature]``. ``payload`` is the encoded envelope, opaque to
everybody on the way; the signature covers a domain string that names the codec, and the payload. Codec 1 is msgpack,
codec 2 is the nine-field JSON envelope of ``ioap.v1`` in its RFC 8785 form (see ``text``).
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec

from aiconexus.protocol import text
from aiconexus.protocol.bodies import Body, Did, Id
from aiconexus.protocol.envelope import VERSION, Envelope, body_class, check_addressee
from aiconexus.protocol.errors import EnvelopeTooLarge, MalformedEnvelope, UnsupportedVersion
from aiconexus.protocol.keys import SigningKey, verify
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES
from aiconexus.protocol.vocabulary import BODIES


class Codec(IntEnum):
    """How the payload is written."""

    MSGPACK = 1
    JSON = 2


DOMAINS: dict[int, bytes] = {
    Codec.MSGPACK: b"aiconexus/v1/envelope/msgpack\n",
    Codec.JSON: b"aiconexus/v1/envelope/json\n",
}


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """The three parts that travel."""

    codec: int
    payload: bytes
    signature: bytes


class Letter(msgspec.Struct, frozen=True):
    """
    An envelope that was read: what it says, and the bytes that say so.

    ``Letter`` alone proves nothing; ``unseal`` returns one only after its signature was verified.
    """

    envelope: Envelope
    sealed: Sealed

    @property
    def body(self) -> Body:
        """The decoded body; see ``read_body``."""
        return read_body(self.envelope, self.sealed.codec)


class Return(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """What an answer to an envelope needs, believed or not."""

    id: Id | None = None
    sender: Did | None = None


class _Version(msgspec.Struct, frozen=True):
    version: int | float | str


_encode = msgspec.msgpack.Encoder().encode
_decode_sealed = msgspec.msgpack.Decoder(Sealed).decode
_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_version = msgspec.msgpack.Decoder(_Version).decode
_decode_return: dict[int, Callable[[bytes], Return]] = {
    Codec.MSGPACK: msgspec.msgpack.Decoder(Return).decode,
    Codec.JSON: msgspec.json.Decoder(Return).decode,
}
_body_decoders: dict[int, dict[str, Callable[[msgspec.Raw], Any]]] = {
    Codec.MSGPACK: {type_: msgspec.msgpack.Decoder(body).decode for type_, body in BODIES.items()},
    Codec.JSON: {type_: msgspec.json.Decoder(body).decode for type_, body in BODIES.items()},
}


def write_body(body: Body, codec: Codec = Codec.MSGPACK) -> msgspec.Raw:
    """
    Encode a body for the envelope that will carry it.

    Raises:
        MalformedEnvelope: If the codec cannot say it: halves of surrogate pairs; in JSON also NaN, infinities, and
            integers beyond 2**53.

    """
    if codec is Codec.MSGPACK:
        try:
            return msgspec.Raw(_encode(body))
        except (UnicodeEncodeError, OverflowError) as error:
            reason = f"no msgpack form: {error}"
            raise MalformedEnvelope(reason) from error
    # msgspec.json would write NaN as null.
    return msgspec.Raw(text.canonical(msgspec.to_builtins(body, str_keys=True)))


def read_body(envelope: Envelope, codec: int = Codec.MSGPACK) -> Body:
    """
    Decode the body by the schema that ``type`` names.

    Raises:
        UnsupportedType: If this version does not know the type.
        MalformedEnvelope: If the body does not follow it.

    """
    body_class(envelope.type)
    try:
        body: Body = _body_decoders[codec][envelope.type](envelope.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        reason = f"the body is no {envelope.type}: {error}"
        raise MalformedEnvelope(reason) from error
    return body


def seal(
    envelope: Envelope,
    key: SigningKey,
    codec: Codec = Codec.MSGPACK,
    limit: int = ENVELOPE_MAX_BYTES,
) -> bytes:
    """
    Encode once, sign those bytes, wrap both.

    Args:
        envelope: Its body must have been written for the same codec.
        key: The sender's.
        codec: What the recipient can read.
        limit: Bytes; services may answer with more than agents may send.

    Raises:
        EnvelopeTooLarge: If nobody would accept it.

    """
    payload = _encode(envelope) if codec is Codec.MSGPACK else text.payload_of(envelope)
    sealed = _encode((codec.value, payload, key.sign(DOMAINS[codec] + payload)))
    if len(sealed) > limit:
        raise EnvelopeTooLarge(len(sealed), limit)
    return sealed


def compose(
    body: Body,
    key: SigningKey,
    recipient: str | None,
    *,
    id_: str,
    now_ms: int,
    codec: Codec = Codec.MSGPACK,
    limit: int = ENVELOPE_MAX_BYTES,
    **fields: Any,
) -> bytes:
    """
    Write and seal in one step.

    Args:
        body: What to say; its class gives the type.
        key: The sender's.
        recipient: A DID, or None for what is said to everybody.
        id_: See ``ids``.
        now_ms: The time of creation.
        codec: What the recipient can read.
        limit: Bytes that the reader accepts.
        fields: More fields of the envelope: ``in_reply_to``, ``expires_ms``, …

    Raises:
        EnvelopeTooLarge: If the reader would not accept it.

    """
    envelope = Envelope(
        version=VERSION,
        id=id_,
        type=body.TYPE,
        sender=key.did,
        recipient=recipient,
        created_ms=now_ms,
        body=write_body(body, codec),
        **fields,
    )
    return seal(envelope, key, codec, limit)


def wrap(sealed: Sealed) -> bytes:
    """The bytes of a sealed envelope."""
    return _encode(sealed)


def split(data: bytes, limit: int = ENVELOPE_MAX_BYTES) -> Sealed:
    """
    Take the three parts apart without believing any.

    Raises:
        EnvelopeTooLarge: Before anything is decoded.
        MalformedEnvelope: If it is no such array.

    """
    if len(data) > limit:
        raise EnvelopeTooLarge(len(data), limit)
    try:
        sealed = _decode_sealed(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedEnvelope(str(error)) from error
    _check_codec(sealed)
    return sealed


def peek(sealed: Sealed, *, is_canonical: bool = False) -> Envelope:
    """
    Read the envelope without believing it.

    Args:
        sealed: The three parts.
        is_canonical: A JSON payload is known to be in its RFC 8785 form: one of ours has checked or made it.

    Raises:
        MalformedEnvelope: If the codec is unknown, or the payload does not follow the schema.
        UnsupportedVersion: If it speaks another version.

    """
    _check_codec(sealed)
    if sealed.codec == Codec.JSON:
        envelope = text.envelope_of(sealed.payload, is_canonical=is_canonical)
    else:
        try:
            envelope = _decode_envelope(sealed.payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            _check_version(sealed.payload)
            raise MalformedEnvelope(str(error)) from error
        if envelope.version != VERSION:
            raise UnsupportedVersion(envelope.version)
    check_addressee(envelope)
    return envelope


def return_of(sealed: Sealed) -> Return:
    """Where a refusal goes, of an envelope that cannot be read as a whole: one of another version, say."""
    try:
        return _decode_return[sealed.codec](sealed.payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Return()


def check_seal(sealed: Sealed, sender: str) -> None:
    """
    Verify the signature under the sender's key.

    Raises:
        InvalidDid: If the sender is no acceptable DID.
        InvalidSignature: If it is not theirs.

    """
    verify(sender, DOMAINS[sealed.codec] + sealed.payload, sealed.signature)


def unseal(data: bytes | Sealed, limit: int = ENVELOPE_MAX_BYTES) -> Letter:
    """
    Read an envelope and believe it: size, form, version and signature were checked.

    Parts that came in no binary form (a text frame, an entry of MAIL) have the same limit. Whether the envelope is
    fresh, new, and meant for the reader is the reader's to check.

    Raises:
        EnvelopeError: If the envelope is not acceptable.
        IdentityError: If the sender's name or signature is not.

    """
    if isinstance(data, Sealed):
        _check_codec(data)
        data = wrap(data)
    sealed = split(data, limit)
    envelope = peek(sealed)
    check_seal(sealed, envelope.sender)
    return Letter(envelope, sealed)


def _check_codec(sealed: Sealed) -> None:
    if sealed.codec not in DOMAINS:
        reason = f"unknown codec {sealed.codec}"
        raise MalformedEnvelope(reason)


def _check_version(payload: bytes) -> None:
    """An envelope of another version need not follow our schema: say that first."""
    try:
        version = _decode_version(payload).version
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return
    if version != VERSION:
        raise UnsupportedVersion(version)
