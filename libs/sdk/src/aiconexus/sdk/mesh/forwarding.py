"""Hand on what is for others, and take what is for us: no circles, no forgeries, no more than neighbours can carry."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping

import msgspec

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.errors import IdentityError
from aiconexus.protocol.frames import Hop, write_word
from aiconexus.protocol.hops import check_hop, onward
from aiconexus.protocol.limits import HOPS_MAX
from aiconexus.sdk.direct.seam import Pipe
from aiconexus.sdk.mesh import metrics
from aiconexus.sdk.topology import Routes

SEEN_MAX = 16_384
"""Frames that are remembered; older ones are stopped by their hops."""
BUFFERED_MAX = 4 * 1024 * 1024
"""Bytes that may wait for one neighbour; what comes then goes another way, or is dropped."""


class Tally(msgspec.Struct):
    """
    What became of frames.

    Attributes:
        taken: They were for us.
        handed_on: They were for others.
        repeated: We had them before.
        circled: We had handed them on ourselves.
        expired: They had no hops left.
        forged: Their signature is not their sender's, or it is no member.
        stranded: No neighbour could take them.

    """

    taken: int = 0
    handed_on: int = 0
    repeated: int = 0
    circled: int = 0
    expired: int = 0
    forged: int = 0
    stranded: int = 0


class Forwarder:
    """
    The crossing of one member.

    Args:
        us: Our DID.
        members: Who may send and get frames.
        routes: Our ways to everybody.
        neighbours: The channels that are open now, to those who hand on.
        deliver: Takes what is for us.

    """

    def __init__(
        self,
        us: str,
        *,
        members: Callable[[], Collection[str]],
        routes: Callable[[], Routes],
        neighbours: Mapping[str, Pipe],
        deliver: Callable[[Hop], None],
    ) -> None:
        self.tally = Tally()
        self._us = us
        self._members = members
        self._routes = routes
        self._neighbours = neighbours
        self._deliver = deliver
        self._seen: OrderedDict[tuple[str, str, int], None] = OrderedDict()

    def take(self, hop: Hop) -> None:
        """Take a frame that a neighbour has handed us."""
        if not self._is_wanted(hop):
            return
        if hop.recipient == self._us:
            self._count("taken")
            self._deliver(hop)
        elif self.send(onward(hop, self._us), hops_left=hop.hops_left) is None:
            self._count("stranded")
        else:
            self._count("handed_on")

    def send(self, hop: Hop, without: Collection[str] = (), *, hops_left: int | None = None) -> str | None:
        """
        Hand a frame to the best neighbour that takes it.

        Args:
            hop: As the neighbour gets it.
            without: Neighbours that will not do.
            hops_left: What it may still go, the next hop included; by default one more than it says.

        Returns:
            Which neighbour it was; None if none takes it.

        """
        text = write_word(hop)
        left = hop.hops_left + 1 if hops_left is None else hops_left
        for way in self._routes().next_hops(hop.recipient, hops_left=left, without={*hop.visited, *without}):
            pipe = self._neighbours.get(way.neighbour)
            if pipe is not None and _carries(pipe, text):
                return way.neighbour
        return None

    def _count(self, fate: str) -> None:
        setattr(self.tally, fate, getattr(self.tally, fate) + 1)
        metrics.note_frame(fate)

    def _is_wanted(self, hop: Hop) -> bool:
        key = (hop.sender, hop.session, hop.number)
        if self._us in hop.visited or hop.sender == self._us:
            self._count("circled")
        elif key in self._seen:
            self._count("repeated")
        elif hop.recipient != self._us and (not hop.hops_left or len(hop.visited) >= HOPS_MAX):
            self._count("expired")
        elif not self._is_believed(hop):
            self._count("forged")
        else:
            self._seen[key] = None
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
            return True
        return False

    def _is_believed(self, hop: Hop) -> bool:
        members = self._members()
        if hop.sender not in members or hop.recipient not in members:
            return False
        try:
            check_hop(hop)
        except IdentityError:
            return False
        return True


def _carries(pipe: Pipe, text: str) -> bool:
    if not pipe.is_open or pipe.buffered_amount > BUFFERED_MAX:
        return False
    try:
        pipe.send(text)
    except ChannelClosed:
        return False
    return True
