"""
The nine-field JSON envelope of the WebSocket subprotocol ``ioap.v1``.

Its signature covers the RFC 8785 bytes of the object without the member ``signature``; those bytes are the payload of
codec 2, so a reader of the binary form verifies what a browser signed, and the other way round.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import rfc8785
from msgspec import Meta

from aiconexus.protocol.bodies import Did, Id, MailItem
from aiconexus.protocol.envelope import VERSION, Envelope, Type
from aiconexus.protocol.errors import EnvelopeTooLarge, MalformedEnvelope, UnsupportedVersion
from aiconexus.protocol.limits import TEXT_MAX_BYTES

TEXT_VERSION = "1.0"

Timestamp = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$(?!\n)")]


class TextEnvelope(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"sender": "from", "recipient": "to"},
):
    """The eight signed members. All are required; ``timestamp`` is RFC 3339 in UTC with milliseconds."""

    id: Id
    correlation_id: Id | None
    timestamp: Timestamp
    sender: Did
    recipient: Did | None
    type: Type
    payload: msgspec.Raw
    version: str


class _Version(msgspec.Struct, frozen=True):
    version: int | float | str


_decode = msgspec.json.Decoder(TextEnvelope).decode
_decode_version = msgspec.json.Decoder(_Version).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_mail = msgspec.json.Decoder(MailItem).decode


def payload_of(envelope: Envelope) -> bytes:
    """
    The RFC 8785 bytes of an envelope whose body is JSON.

    Fields that the nine do not have (expiry, thread, sequence, trace) are left behind.

    Raises:
        MalformedEnvelope: If the body holds what RFC 8785 cannot write: NaN, infinities, integers beyond 2**53.

    """
    return canonical(
        {
            "id": envelope.id,
            "correlation_id": envelope.in_reply_to,
            "timestamp": timestamp_of(envelope.created_ms),
            "from": envelope.sender,
            "to": envelope.recipient,
            "type": envelope.type,
            "payload": _object(bytes(envelope.body)),
            "version": TEXT_VERSION,
        }
    )


def envelope_of(payload: bytes, *, is_canonical: bool = False) -> Envelope:
    """
    Read the signed bytes of a JSON envelope.

    Args:
        payload: The bytes.
        is_canonical: That they are in their RFC 8785 form need not be checked once more.

    Raises:
        UnsupportedVersion: If ``version`` is another.
        MalformedEnvelope: If a member lacks, is unknown or of the wrong form, or the bytes are not canonical.

    """
    try:
        read = _decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        _check_version(payload)
        raise MalformedEnvelope(str(error)) from error
    if read.version != TEXT_VERSION:
        raise UnsupportedVersion(read.version)
    if not is_canonical and canonical(_object(payload)) != payload:
        reason = "the JSON payload is not in its RFC 8785 form"
        raise MalformedEnvelope(reason)
    return Envelope(
        version=VERSION,
        id=read.id,
        type=read.type,
        sender=read.sender,
        recipient=read.recipient,
        created_ms=milliseconds_of(read.timestamp),
        in_reply_to=read.correlation_id,
        body=read.payload.copy(),
    )


def canonical(value: Any) -> bytes:
    """
    The one JSON text of a value, RFC 8785.

    Raises:
        MalformedEnvelope: If it has none.

    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        reason = f"no RFC 8785 form: {error}"
        raise MalformedEnvelope(reason) from error


def parts_of(frame: bytes | str, limit: int = TEXT_MAX_BYTES) -> tuple[bytes, bytes, MailItem | None]:
    """
    Take a text frame apart.

    Args:
        frame: One WebSocket text message.
        limit: Its bytes; services may answer with more than agents may send.

    Returns:
        The canonical payload, the signature (empty for the opaque form), and the mailbox entry: for a nine-field
        frame with ``delivery`` its place in the mailbox, for the opaque form the whole item.

    Raises:
        EnvelopeTooLarge: Before anything is parsed.
        MalformedEnvelope: If it is neither form.

    """
    data = _utf8(frame) if isinstance(frame, str) else frame
    if len(data) > limit:
        raise EnvelopeTooLarge(len(data), limit)
    members = _object(data)
    if "codec" in members:
        return b"", b"", _mail_item(data)
    signature = _signature(members.pop("signature", None))
    delivery = members.pop("delivery", None)
    payload = canonical(members)
    if delivery is None:
        return payload, signature, None
    return payload, signature, _delivered(delivery, payload, signature)


def frame_of(payload: bytes, signature: bytes, sequence: int | None = None, previous: int | None = None) -> bytes:
    """
    The nine-field text of canonical bytes and their signature.

    Args:
        payload: RFC 8785 bytes of an object, as ``envelope_of`` accepted them.
        signature: 64 bytes.
        sequence: The place in the mailbox, if it comes from there; goes into the unsigned member ``delivery``.
        previous: The place before it.

    """
    tail = b',"signature":' + msgspec.json.encode(signature)
    if sequence is not None:
        tail += b',"delivery":' + msgspec.json.encode({"sequence": sequence, "previous": previous})
    return payload[:-1] + tail + b"}"


def timestamp_of(milliseconds: int) -> str:
    """
    RFC 3339 text in UTC with three decimals, as JavaScript's ``toISOString`` writes it.

    Raises:
        MalformedEnvelope: If the time lies beyond the year 9999.

    """
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        reason = f"no such time: {milliseconds} ms"
        raise MalformedEnvelope(reason) from error
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def milliseconds_of(timestamp: str) -> int:
    """
    Milliseconds since the epoch of an RFC 3339 text.

    Raises:
        MalformedEnvelope: If there is no such day or hour, or it lies before the epoch.

    """
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise MalformedEnvelope(str(error)) from error
    seconds = int(moment.replace(microsecond=0).timestamp())
    if seconds < 0:
        reason = f"{timestamp} lies before the epoch"
        raise MalformedEnvelope(reason)
    return seconds * 1000 + moment.microsecond // 1000


def _utf8(frame: str) -> bytes:
    try:
        return frame.encode()
    except UnicodeEncodeError as error:
        raise MalformedEnvelope(str(error)) from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        return _decode_object(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedEnvelope(str(error)) from error


def _mail_item(data: bytes) -> MailItem:
    try:
        return _decode_mail(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedEnvelope(str(error)) from error


def _signature(value: Any) -> bytes:
    try:
        return msgspec.convert(value, bytes)
    except msgspec.ValidationError as error:
        reason = f"signature: {error}"
        raise MalformedEnvelope(reason) from error


def _delivered(delivery: Any, payload: bytes, signature: bytes) -> MailItem:
    try:
        place = msgspec.convert(delivery, _Place)
    except msgspec.ValidationError as error:
        reason = f"delivery: {error}"
        raise MalformedEnvelope(reason) from error
    return MailItem(sequence=place.sequence, previous=place.previous, codec=2, payload=payload, signature=signature)


class _Place(msgspec.Struct, frozen=True):
    sequence: Annotated[int, Meta(ge=0)]
    previous: Annotated[int, Meta(ge=0)] | None


def _check_version(payload: bytes) -> None:
    try:
        version = _decode_version(payload).version
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return
    if version != TEXT_VERSION:
        raise UnsupportedVersion(version)
