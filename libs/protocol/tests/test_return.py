"""Where a refusal goes, of an envelope that cannot be read as a whole."""

from typing import Any

import msgspec
import pytest

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.seal import Codec, Sealed, return_of, split

from .samples import ALICE, sealed

MEMBERS: dict[str, Any] = msgspec.msgpack.decode(split(sealed(Message(content="hello"))).payload)


@pytest.mark.parametrize("members", [{"version": 2}, {"type": 7}, {"created_ms": -1}], ids=["version", "type", "time"])
def test_what_cannot_be_read_can_be_answered(members: dict[str, Any]) -> None:
    """Whatever else is wrong, the id and the sender say where a refusal goes."""
    back = return_of(Sealed(Codec.MSGPACK, msgspec.msgpack.encode(MEMBERS | members), b""))

    assert (MEMBERS["id"], ALICE.did) == (back.id, back.sender)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", b"\x81\xa2id\x07", b"{", b"[" * 5000])
@pytest.mark.parametrize("codec", Codec)
def test_what_names_nobody_cannot_be_answered(codec: Codec, payload: bytes) -> None:
    """Then there is neither id nor sender, and no exception."""
    back = return_of(Sealed(codec, payload, bytes(64)))

    assert (None, None) == (back.id, back.sender)
