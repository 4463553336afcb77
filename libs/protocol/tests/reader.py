"""The checks of a reader in their order, as the README of the vectors describes them."""

import base64
from typing import Any

import msgspec

from aiconexus.protocol.envelope import check_fresh, check_lifetime, check_storable
from aiconexus.protocol.errors import ForeignSender, Refused
from aiconexus.protocol.replay import ReplayWindow
from aiconexus.protocol.seal import Letter, Sealed, unseal
from aiconexus.protocol.text import parts_of


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``rejects.json``."""

    name: str
    problem: str
    code: str
    reader: str
    kind: str
    sealed: Any = None
    frame: Any = None
    authenticated: str | None = None
    seen: tuple[tuple[str, str], ...] = ()


def joined(pieces: str | list[Any]) -> bytes:
    """The bytes of base64, or of pairs of base64 and a count."""
    pairs = [(pieces, 1)] if isinstance(pieces, str) else pieces
    return b"".join(base64.b64decode(piece, validate=True) * count for piece, count in pairs)


def parts_in(frame: bytes) -> Sealed:
    """The parts that a text frame carries in either form."""
    payload, signature, item = parts_of(frame)
    return Sealed(item.codec, item.payload, item.signature) if item else Sealed(2, payload, signature)


def read(case: Case, now_ms: int) -> Letter:
    """Check everything that a reader must check."""
    letter = unseal(joined(case.sealed) if case.sealed is not None else parts_in(joined(case.frame)))
    envelope = letter.envelope
    assert letter.body.TYPE == envelope.type
    if envelope.recipient not in (None, case.reader):
        raise Refused("for somebody else")
    if case.authenticated not in (None, envelope.sender):
        raise ForeignSender(envelope.sender, str(case.authenticated))
    if case.kind == "stored":
        check_storable(envelope.type)
        check_lifetime(envelope, now_ms)
    else:
        check_fresh(envelope, now_ms)
    window = ReplayWindow()
    for sender, id_ in case.seen:
        window.admit(sender, id_, now_ms)
    window.admit(envelope.sender, envelope.id, now_ms)
    return letter
