"""What tells two envelopes under one id apart."""

import hashlib

import msgspec

from aiconexus.protocol import text
from aiconexus.protocol.bodies import Body, ExecRequest, Intent
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import MalformedEnvelope
from aiconexus.protocol.seal import Letter

DIGEST_BYTES = 16


def digest_of(envelope: Envelope, body: Body) -> bytes:
    """
    The digest of what an envelope says.

    Calls may be asked again on another road, so theirs does not depend on the codec.
    """
    return digest_of_call(body) if isinstance(body, ExecRequest | Intent) else _digest(bytes(envelope.body))


def digest_of_call(body: Body) -> bytes:
    """The digest of a question in any codec; how long it may take is no part of it."""
    if isinstance(body, ExecRequest):
        body = msgspec.structs.replace(body, timeout_ms=None, ceiling_ms=None, begin_ms=None)
    try:
        return _digest(text.canonical(msgspec.to_builtins(body, str_keys=True)))
    except MalformedEnvelope:
        # Only codec 1 can say it then.
        return _digest(msgspec.msgpack.encode(body, order="deterministic"))


def says_the_same(one: Letter, other: Letter) -> bool:
    """Whether two envelopes of one sender say the same to the same agent, whenever and in whichever codec."""
    return _meaning(one) == _meaning(other)


def _meaning(letter: Letter) -> tuple[object, ...]:
    envelope = letter.envelope
    return envelope.recipient, envelope.type, envelope.in_reply_to, digest_of_call(letter.body)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
