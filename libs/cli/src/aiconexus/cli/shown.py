"""Anything that an envelope can say, as JSON for programs and as text for people."""

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from aiconexus.sdk import Delivery


def json_of(value: Any) -> str:
    """One line of JSON that steers no terminal; bytes become base64."""
    text = msgspec.json.encode(value).decode()
    # What is not printable stands in a string, where JSON may write it as an escape.
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def text_of(value: Any) -> str:
    """A text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json_of(value)


def delivery_of(delivery: "Delivery") -> dict[str, Any]:
    """What came, for programs."""
    envelope = delivery.envelope
    return {
        "id": envelope.id,
        "type": envelope.type,
        "from": envelope.sender,
        "created_ms": envelope.created_ms,
        "thread": envelope.thread,
        "in_reply_to": envelope.in_reply_to,
        "body": delivery.body,
    }


def in_one_line(text: str | None) -> str:
    """What a stranger says, so that none of it can pass for a line of ours."""
    return " ".join((text or "").split())


def indented(text: str) -> str:
    """What a stranger says behind its name, so that none of its further lines can pass for one of somebody else."""
    return "\n    ".join(text.splitlines())


def printable(text: str) -> str:
    """Text of a stranger without the characters that steer a terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
