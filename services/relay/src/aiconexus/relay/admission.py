"""Which envelopes may wait in a mailbox, as far as they tell themselves: no I/O, no clock."""

from aiconexus.protocol.envelope import check_lifetime, check_storable
from aiconexus.protocol.seal import Letter
from aiconexus.runtime.parties import read_from


def read_stored(data: bytes, token: str, now_ms: int) -> Letter:
    """
    Read what is meant for a mailbox, without believing it.

    Args:
        data: A sealed envelope.
        token: The agent that the bus has authenticated.
        now_ms: Milliseconds since the epoch.

    Raises:
        EnvelopeError: If it does not follow the protocol or is over.
        ForeignSender: If it does not come from that agent.

    """
    letter = read_from(data, token)
    check_storable(letter.envelope.type)
    check_lifetime(letter.envelope, now_ms)
    return letter
