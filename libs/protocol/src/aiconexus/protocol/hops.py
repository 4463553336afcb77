"""
Frames that other agents hand on: who signs what, and what each of them checks.

The sender signs the frame, both ends, the session and the number in it, so that nobody on the way can change, reorder
or invent any. Whoever hands a frame on can drop it; that is found out by the two ends, who use another way.
"""

import msgspec
from msgspec.structs import replace

from aiconexus.protocol.frames import Hop
from aiconexus.protocol.keys import SigningKey, verify

DOMAIN = b"aiconexus/v1/hop\n"

_encode = msgspec.msgpack.Encoder().encode


def sign_hop(key: SigningKey, recipient: str, session: str, number: int, frame: bytes | str, *, hops: int) -> Hop:
    """Address a frame to an agent, over ``hops`` channels at most."""
    data = frame.encode() if isinstance(frame, str) else frame
    signature = key.sign(_signed(key.did, recipient, session, number, data))
    return Hop(key.did, recipient, session, number, data, signature, hops - 1, (key.did,))


def check_hop(hop: Hop) -> None:
    """
    Believe that the sender said this.

    Raises:
        InvalidDid: If the sender is none.
        InvalidSignature: If somebody else did.

    """
    verify(hop.sender, _signed(hop.sender, hop.recipient, hop.session, hop.number, hop.frame), hop.signature)


def onward(hop: Hop, us: str) -> Hop:
    """The same, as we hand it on."""
    return replace(hop, hops_left=hop.hops_left - 1, visited=(*hop.visited, us))


def frame_in(hop: Hop) -> bytes | str:
    """
    What would have come through a channel: text begins with a bracket or a brace, a sealed envelope never does.

    Raises:
        UnicodeDecodeError: If the text is none.

    """
    return hop.frame.decode() if hop.frame[:1] in (b"[", b"{") else hop.frame


def _signed(sender: str, recipient: str, session: str, number: int, frame: bytes) -> bytes:
    return DOMAIN + _encode((sender, recipient, session, number, frame))
