"""
How many offers one agent may make that lead nowhere: each costs us a certificate, sockets and a handshake.

What comes to verified HELLOs costs nothing, so whoever connects for good may do so as often as it likes.
"""

from collections import OrderedDict

import msgspec

from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.signal_bodies import Offer

BURST = 10.0
PER_SECOND = 0.5
SENDERS_MAX = 1024


class Proposal(msgspec.Struct, frozen=True):
    """An OFFER that came, the session that it is about, and the id of its envelope."""

    offer: Offer
    session: str
    id: str


class Budget:
    """Token buckets by sender; the clock is handed in."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, sender: str, now: float) -> None:
        """
        Let an offer pass.

        Raises:
            RateLimited: If the sender makes too many.

        """
        tokens, filled_at = self._left.pop(sender, (BURST, now))
        tokens = min(tokens + (now - filled_at) * PER_SECOND, BURST)
        self._left[sender] = (max(tokens - 1, 0.0) if tokens >= 1 else tokens, now)
        if len(self._left) > SENDERS_MAX:
            self._left.popitem(last=False)
        if tokens < 1:
            raise RateLimited(int((1 - tokens) / PER_SECOND * 1000))

    def give_back(self, sender: str) -> None:
        """An offer came to a connection."""
        if sender in self._left:
            tokens, filled_at = self._left[sender]
            self._left[sender] = (min(tokens + 1, BURST), filled_at)
