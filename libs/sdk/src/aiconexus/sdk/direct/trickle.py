"""Candidates that come one by one, before or after the description that they belong to (RFC 8838)."""

from aiortc import RTCPeerConnection

from aiconexus.protocol.direct_errors import DescriptionRefused
from aiconexus.protocol.limits import CANDIDATES_MAX
from aiconexus.protocol.signal_bodies import Candidate, IceCandidate
from aiconexus.sdk.direct import stack

TRICKLED_MAX = 2 * CANDIDATES_MAX


class Trickle:
    """
    The other side's candidates of one session.

    Args:
        pc: Gets them.

    """

    def __init__(self, pc: RTCPeerConnection) -> None:
        self._pc = pc
        self._early: list[Candidate] = []
        self._taken = 0
        self._is_described = False

    async def take(self, body: IceCandidate) -> None:
        """
        Take a batch.

        Raises:
            DescriptionRefused: If there are too many, or one is none.

        """
        first = Candidate(candidate=body.candidate, sdp_mid=body.sdp_mid, sdp_mline_index=body.sdp_mline_index)
        batch = (first, *body.more)
        self._taken += len(batch)
        if self._taken > TRICKLED_MAX:
            raise DescriptionRefused("offer_refused", f"more than {TRICKLED_MAX} candidates")
        self._early += batch
        if self._is_described:
            await self._pass_on()

    async def note_described(self) -> None:
        """
        The description is there: what came before it counts now.

        Raises:
            DescriptionRefused: If one of them is none.

        """
        self._is_described = True
        await self._pass_on()

    async def _pass_on(self) -> None:
        early, self._early = self._early, []
        for candidate in early:
            await stack.add_candidate(self._pc, candidate)
