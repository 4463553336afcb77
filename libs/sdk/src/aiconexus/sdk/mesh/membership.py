"""Who is in a mesh, and what topology follows from it: the same for everybody who knows the same."""

from aiconexus.sdk.topology import Exchange, ImpossibleTopology, Topology, exchanged, join, leave

MEMBERS_MAX = 2048
ADMITTED_MAX = 256
"""So many may be admitted, by whichever member; each change of the topology places all of them anew."""


class Membership:
    """
    The members of one mesh, with the clock handed in.

    The topology does not depend on the order in which members went and came, only on who is there.

    Args:
        base: The topology with everybody who was a member from the start.
        us: Our DID; we are always there.
        gone_seconds: How long a member may be away before the others close the gap.
        absent_seconds: Likewise for one that we have never seen.
        now: Seconds of a clock that does not jump.

    """

    def __init__(self, base: Topology, us: str, *, gone_seconds: float, absent_seconds: float, now: float) -> None:
        self.base = base
        self.exchanges: tuple[Exchange, ...] = ()
        self.number = 0
        self._us = us
        self._gone_seconds = gone_seconds
        self._absent_seconds = absent_seconds
        self._away: dict[str, float] = {}
        self._seen: set[str] = set()
        self._gone: frozenset[str] = frozenset()
        self.admitted: dict[str, str | None] = {}
        """Members who came later, and into which shard."""
        self._is_stale = False
        self._began = now
        self.topology = base
        self.everybody = frozenset(base.members)
        """All members, those who are gone included."""

    @property
    def gone(self) -> frozenset[str]:
        """Members who are not part of the topology now."""
        return self._gone

    def is_here(self, did: str) -> bool:
        """Whether a member was there when we last heard of it, and is part of the topology."""
        return did in self._seen and did not in self._away and did not in self._gone

    def admit(self, did: str, shard: str | None = None) -> bool:
        """
        Take in a new member.

        Returns:
            Whether it is new.

        Raises:
            ImpossibleTopology: If a sharded mesh has no such shard, or there are too many members.

        """
        if not self.note_admitted(did, shard):
            return False
        self._renew()
        return True

    def note_admitted(self, did: str, shard: str | None = None) -> bool:
        """
        Some other member has taken in a new one, which has its place after the next ``look``.

        Returns and raises as ``admit``.
        """
        if did in self.everybody:
            return False
        if len(self.everybody) >= MEMBERS_MAX or len(self.admitted) >= ADMITTED_MAX:
            raise ImpossibleTopology(f"it has {len(self.everybody)} members, {len(self.admitted)} of them admitted")
        if self.base.shards and shard not in {each.name for each in self.base.shards}:
            raise ImpossibleTopology(f"{shard} is none of its shards")
        self.admitted[did] = shard
        self.everybody |= {did}
        self._is_stale = True
        return True

    def note_presence(self, did: str, *, online: bool, now: float) -> None:
        """A member is there, or is not."""
        if online:
            self._seen.add(did)
            self._away.pop(did, None)
        elif did in self.everybody and did != self._us:
            self._away.setdefault(did, now)

    def look(self, now: float) -> bool:
        """
        Let go of members that were away too long, and welcome those who are back or new.

        Returns:
            Whether the topology has changed.

        """
        gone = frozenset(did for did, since in self._away.items() if now >= self._deadline(did, since))
        if gone == self._gone and not self._is_stale:
            return False
        self._gone = gone
        self._renew()
        return True

    def exchange(self, number: int, exchanges: tuple[Exchange, ...]) -> bool:
        """
        Make exchanges of edges that somebody decided on.

        Returns:
            Whether they are newer than those known.

        """
        if number <= self.number:
            return False
        self.number, self.exchanges = number, exchanges
        self._renew()
        return True

    def _deadline(self, did: str, since: float) -> float:
        return since + self._gone_seconds if did in self._seen else self._began + self._absent_seconds

    def _renew(self) -> None:
        topology = self.base
        for did in sorted(self.admitted):
            topology = join(topology, did, shard=self.admitted[did]).topology
        if self._gone:
            topology = leave(topology, self._gone).topology
        self.topology = exchanged(topology, self.exchanges)
        self._is_stale = False
