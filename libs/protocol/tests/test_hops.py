from typing import Any

import pytest
from msgspec.structs import replace

from aiconexus.protocol.errors import InvalidDid, InvalidSignature
from aiconexus.protocol.frames import FRAME_MAX_BYTES, Hop, read_word, write_word
from aiconexus.protocol.hops import check_hop, frame_in, onward, sign_hop
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES, HOPS_MAX

from .samples import ALICE, BOB

HOP = sign_hop(ALICE, BOB.did, "s", 3, b"\x93abc", hops=8)


def test_signature_of_the_sender_is_believed() -> None:
    """Whoever has it, however far it has come, sees who sent it."""
    further = onward(onward(HOP, "x"), "y")
    check_hop(further)

    assert (7, (ALICE.did,)) == (HOP.hops_left, HOP.visited)
    assert (5, (ALICE.did, "x", "y")) == (further.hops_left, further.visited)


@pytest.mark.parametrize(
    "change",
    [{"recipient": ALICE.did}, {"sender": BOB.did}, {"session": "t"}, {"number": 4}, {"frame": b"\x93abd"}],
    ids=lambda change: next(iter(change)),
)
def test_nobody_on_the_way_changes_anything(change: dict[str, Any]) -> None:
    """Both ends, the session, the number and the frame are the sender's."""
    with pytest.raises(InvalidSignature):
        check_hop(replace(HOP, **change))


def test_sender_is_a_did() -> None:
    """A name without a key signs nothing."""
    with pytest.raises(InvalidDid):
        check_hop(replace(HOP, sender="x"))


@pytest.mark.parametrize("frame", [b"\x93\xff", '["taken",["ä"]]', '{"a":1}'])
def test_frame_comes_out_as_it_went_in(frame: bytes | str) -> None:
    """Bytes are bytes, and text is text."""
    assert frame == frame_in(sign_hop(ALICE, BOB.did, "s", 0, frame, hops=1))


def test_longest_envelope_fits_into_a_word() -> None:
    """Nothing that may be sent is too long to be handed on."""
    hop: Hop = sign_hop(ALICE, BOB.did, "s" * 64, 2**53 - 1, bytes([0x93]) * ENVELOPE_MAX_BYTES, hops=HOPS_MAX)
    text = write_word(replace(hop, visited=(ALICE.did,) * HOPS_MAX))

    assert len(text) <= FRAME_MAX_BYTES
    assert replace(hop, visited=(ALICE.did,) * HOPS_MAX) == read_word(text)
