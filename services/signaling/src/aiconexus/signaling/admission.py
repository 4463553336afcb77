"""Which envelopes may be handed to who is connected, as far as they tell themselves: no I/O, no clock."""

from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import UnsupportedType
from aiconexus.protocol.seal import Letter
from aiconexus.protocol.vocabulary import LIVE_TYPES
from aiconexus.runtime.parties import read_from


def read_live(data: bytes, token: str, now_ms: int) -> Letter:
    """
    Read what is meant for a connected agent, without believing it.

    Args:
        data: A sealed envelope.
        token: The agent that the bus has authenticated.
        now_ms: Milliseconds since the epoch.

    Raises:
        EnvelopeError: If it does not follow the protocol or is stale.
        ForeignSender: If it does not come from that agent.

    """
    letter = read_from(data, token)
    if letter.envelope.type not in LIVE_TYPES:
        raise UnsupportedType(letter.envelope.type)
    check_fresh(letter.envelope, now_ms)
    return letter
