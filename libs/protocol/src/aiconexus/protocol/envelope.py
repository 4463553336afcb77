"""
The envelope: who says what to whom, and until when it counts.

The payload is encoded once, those bytes are signed and carried along unchanged (see ``seal``); this module is what
stands in them.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from aiconexus.protocol import limits
from aiconexus.protocol.bodies import LINE, Body, Did, Id
from aiconexus.protocol.errors import EnvelopeExpired, EnvelopeStale, MalformedEnvelope, UnsupportedType
from aiconexus.protocol.vocabulary import BODIES, STORED_TYPES, UNADDRESSED_TYPES

VERSION = 1

Type = Annotated[str, Meta(min_length=1, max_length=32)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Short = Annotated[str, Meta(max_length=128, pattern=LINE)]


class Envelope(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"sender": "from", "recipient": "to"}
):
    """
    One thing said by ``sender`` to ``recipient``.

    Times are whole milliseconds since the epoch. ``expires_ms`` 0 stands for the longest lifetime. ``in_reply_to`` is
    the id of the envelope that this one answers, ``thread`` groups envelopes of one conversation, ``sequence`` counts
    what this sender has sent to this recipient. ``traceparent`` follows W3C Trace Context. ``body`` holds the encoded
    body; ``read_body`` decodes it.
    """

    version: int
    id: Id
    type: Type
    sender: Did
    recipient: Did | None
    created_ms: Milliseconds
    expires_ms: Milliseconds = 0
    thread: Short | None = None
    in_reply_to: Id | None = None
    sequence: Milliseconds | None = None
    traceparent: Short | None = None
    content_type: Short | None = None
    encryption: Short | None = None
    body: msgspec.Raw

    @property
    def ends_ms(self) -> int:
        """When it stops to count, with the default applied."""
        return self.expires_ms or self.created_ms + limits.LIFETIME_MAX_MS


def body_class(type_: str) -> type[Body]:
    """
    The struct for a type.

    Raises:
        UnsupportedType: If this version does not know it.

    """
    body = BODIES.get(type_)
    if body is None:
        raise UnsupportedType(type_)
    return body


def check_addressee(envelope: Envelope) -> None:
    """
    Only what is said to everybody may be addressed to nobody.

    Raises:
        MalformedEnvelope: If an addressee lacks, or must not be there.

    """
    if (envelope.recipient is None) != (envelope.type in UNADDRESSED_TYPES):
        reason = f"a {envelope.type} is addressed to {'an agent' if envelope.recipient is None else 'nobody'}"
        raise MalformedEnvelope(reason)


def check_lifetime(envelope: Envelope, now_ms: int) -> None:
    """
    Refuse what is over, what lives too long and what comes from the future.

    Raises:
        MalformedEnvelope: If it wants to live longer than the protocol allows.
        EnvelopeExpired: If its end has passed.
        EnvelopeStale: If it was created later than our clock can explain.

    """
    if envelope.ends_ms - envelope.created_ms > limits.LIFETIME_MAX_MS:
        reason = f"it wants to live longer than {limits.LIFETIME_MAX_MS} ms"
        raise MalformedEnvelope(reason)
    if envelope.ends_ms <= now_ms:
        raise EnvelopeExpired(envelope.id, envelope.ends_ms)
    if envelope.created_ms - now_ms > limits.FRESHNESS_MS:
        raise EnvelopeStale(envelope.id, envelope.created_ms, now_ms)


def check_fresh(envelope: Envelope, now_ms: int) -> None:
    """
    Live envelopes count for a minute around their creation, and not beyond their end.

    Raises:
        EnvelopeStale: If it was created too far from our clock.
        EnvelopeExpired: If its end has passed.

    """
    if abs(now_ms - envelope.created_ms) > limits.FRESHNESS_MS:
        raise EnvelopeStale(envelope.id, envelope.created_ms, now_ms)
    if envelope.ends_ms <= now_ms:
        raise EnvelopeExpired(envelope.id, envelope.ends_ms)


def check_storable(type_: str) -> None:
    """
    Refuse what has no place in a mailbox.

    Raises:
        UnsupportedType: If the type is unknown, live, or meant for a service.

    """
    if type_ not in STORED_TYPES:
        raise UnsupportedType(type_)
