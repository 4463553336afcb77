"""
The two WebSocket subprotocols: how a sealed envelope looks in a frame, and back.

``aiconexus.v1`` carries the msgpack array in binary frames, ``ioap.v1`` the nine-field JSON in text frames. Nothing is
signed again: the same payload and signature travel in either form.
"""

from typing import Protocol

import msgspec
from aiohttp import WSMsgType

from aiconexus.protocol import text
from aiconexus.protocol.bodies import MailItem
from aiconexus.protocol.errors import EnvelopeTooLarge, MalformedEnvelope
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES, REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Sealed, split, wrap

ARRAY_OF_THREE = 0x93
"""The first byte of a sealed envelope without anything behind its three parts."""


class Dialect(Protocol):
    """One subprotocol."""

    name: str
    codec: Codec
    """What its readers can always read."""
    kind: WSMsgType

    def read(self, frame: bytes) -> tuple[Sealed, bytes]:
        """
        Take a frame of an agent apart without believing it.

        Returns:
            The sealed envelope, and its bytes in the form that the services read.

        Raises:
            EnvelopeError: If it is none.

        """

    def write(self, data: bytes) -> bytes:
        """
        The frame for a sealed envelope that does not come from the mailbox.

        Raises:
            EnvelopeError: If the bytes are none.

        """

    def write_mail(self, data: bytes, sequence: int, previous: int | None) -> bytes:
        """
        The frame for a mailbox copy.

        Raises:
            EnvelopeError: If the bytes are no sealed envelope.

        """


class Binary:
    """``aiconexus.v1``."""

    name = "aiconexus.v1"
    codec = Codec.MSGPACK
    kind = WSMsgType.BINARY

    def read(self, frame: bytes) -> tuple[Sealed, bytes]:
        """See ``Dialect``; elements behind the third are dropped, since only the edge may say a place in a mailbox."""
        sealed = split(frame)
        return sealed, frame if frame[0] == ARRAY_OF_THREE else wrap(sealed)

    def write(self, data: bytes) -> bytes:
        """See ``Dialect``."""
        sealed = split(data, REPLY_MAX_BYTES)
        return data if data[0] == ARRAY_OF_THREE else wrap(sealed)

    def write_mail(self, data: bytes, sequence: int, previous: int | None) -> bytes:
        """See ``Dialect``."""
        sealed = split(data)
        return _encode((sealed.codec, sealed.payload, sealed.signature, sequence, previous))


class Text:
    """``ioap.v1``."""

    name = "ioap.v1"
    codec = Codec.JSON
    kind = WSMsgType.TEXT

    def read(self, frame: bytes) -> tuple[Sealed, bytes]:
        """See ``Dialect``."""
        payload, signature, item = text.parts_of(frame)
        if item is not None:
            raise MalformedEnvelope("agents send the nine members and nothing else")
        sealed = Sealed(Codec.JSON, payload, signature)
        data = wrap(sealed)
        if len(data) > ENVELOPE_MAX_BYTES:
            raise EnvelopeTooLarge(len(data), ENVELOPE_MAX_BYTES)
        return sealed, data

    def write(self, data: bytes) -> bytes:
        """See ``Dialect``."""
        sealed = split(data, REPLY_MAX_BYTES)
        if sealed.codec == Codec.JSON:
            return text.frame_of(sealed.payload, sealed.signature)
        return _opaque(sealed, 0, None)

    def write_mail(self, data: bytes, sequence: int, previous: int | None) -> bytes:
        """See ``Dialect``."""
        sealed = split(data)
        if sealed.codec == Codec.JSON:
            return text.frame_of(sealed.payload, sealed.signature, sequence, previous)
        return _opaque(sealed, sequence, previous)


def _opaque(sealed: Sealed, sequence: int, previous: int | None) -> bytes:
    """What a reader of JSON gets of an envelope that is not JSON: its three parts, to be verified as they are."""
    return msgspec.json.encode(
        MailItem(
            sequence=sequence,
            previous=previous,
            codec=sealed.codec,
            payload=sealed.payload,
            signature=sealed.signature,
        )
    )


_encode = msgspec.msgpack.Encoder().encode

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Binary(), Text())}
"""Every subprotocol, by the name that the handshake negotiates."""
