"""Exchange bad edges: every member tells one of them what its edges cost, and that one decides for all."""

from collections.abc import Callable, Mapping
from statistics import median

from aiconexus.protocol.frames import Costs, Exchanges, Word
from aiconexus.protocol.limits import EDGES_TOLD_MAX
from aiconexus.sdk.mesh.membership import Membership
from aiconexus.sdk.topology import Edge, Exchange, Rules, adapt, edge

MICROSECONDS = 1_000_000
EXCHANGES_MAX = EDGES_TOLD_MAX // 2
"""The oldest are forgotten then, and their edges are as they were."""


class Tuner:
    """
    One member's part in it. The lowest DID that is there leads.

    Args:
        us: Our DID.
        membership: Who is in it.
        rules: When an edge is exchanged.
        measure: What our edges cost, in seconds, by neighbour.
        say: Says a word to a member.

    """

    def __init__(
        self,
        us: str,
        membership: Membership,
        rules: Rules,
        *,
        measure: Callable[[], Mapping[str, float]],
        say: Callable[[str, Word], None],
    ) -> None:
        self._us = us
        self._membership = membership
        self._rules = rules
        self._measure = measure
        self._say = say
        self._told: dict[str, dict[str, float]] = {}
        self._bad_rounds: dict[Edge, int] = {}

    @property
    def leader(self) -> str:
        """Who decides."""
        return self._membership.topology.members[0]

    def tell(self) -> bool:
        """
        Do one round: report, or decide and tell everybody.

        Returns:
            Whether the topology has changed.

        """
        found = dict(self._measure())
        if self.leader != self._us:
            costs = tuple((did, round(cost * MICROSECONDS)) for did, cost in sorted(found.items())[:EDGES_TOLD_MAX])
            self._say(self.leader, Costs(costs))
            return False
        self._told[self._us] = found
        has_changed = self._decide()
        for did in self._membership.topology.members[1:]:
            self._say(did, self._decision)
        return has_changed

    def hear(self, did: str, word: Costs | Exchanges) -> bool:
        """
        Take what a member says.

        Returns:
            Whether the topology has changed.

        """
        if isinstance(word, Costs):
            self._told[did] = {neighbour: cost / MICROSECONDS for neighbour, cost in word.costs if cost}
            return False
        if self.leader in (self._us, did):
            if self._membership.exchange(word.number, word.exchanges):
                return True
            if did == self.leader and word.number < self._membership.number:
                # Whoever leads now has not heard of what was decided before.
                self._say(did, self._decision)
        return False

    @property
    def _decision(self) -> Exchanges:
        return Exchanges(self._membership.number, self._membership.exchanges)

    def _decide(self) -> bool:
        topology = self._membership.topology
        found = adapt(topology, self._costs(), self._bad_rounds, self._rules)
        self._bad_rounds = found.bad_rounds
        self._told = {did: costs for did, costs in self._told.items() if did in topology.members}
        if not found.change.closed:
            return False
        exchanges: tuple[Exchange, ...] = (
            *self._membership.exchanges[1 - EXCHANGES_MAX :],
            (found.change.closed, found.change.opened),
        )
        return self._membership.exchange(self._membership.number + 1, exchanges)

    def _costs(self) -> dict[Edge, float]:
        """What both ends say, the worse of the two."""
        costs: dict[Edge, float] = {}
        for did, found in self._told.items():
            for neighbour, cost in found.items():
                pair = edge(did, neighbour)
                costs[pair] = max(cost, costs.get(pair, 0.0))
        return costs


def weights(us: str, costs: Mapping[str, float], bad_factor: float) -> dict[Edge, float]:
    """What our edges weigh when frames are handed on: 1 like all others, but those that cost too much, more."""
    usual = median(costs.values()) if costs else 0.0
    return {edge(us, did): cost / usual for did, cost in costs.items() if cost > bad_factor * usual > 0}
