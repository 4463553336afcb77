"""
Everybody whom the platform knows, in memory: the two buckets as this replica has read them so far.

Changes arrive twice, from our own writes and from the watch; a revision that is not newer changes nothing.
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from aiconexus.identity.tokens import Recent, SortedTokens
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.records import PresenceRecord, RegistryRecord

RECENT_SESSIONS = 20_000


class Known(msgspec.Struct):
    """What the buckets say of one agent, and how new that is."""

    record: RegistryRecord | None = None
    record_revision: int = 0
    presence: PresenceRecord | None = None
    presence_revision: int = 0

    @property
    def listed(self) -> RegistryRecord | None:
        """The record of an agent whose key is good."""
        return self.record if self.record is not None and not self.record.revoked_ms else None


class Roster:
    """Agents by token, in the orders in which they are asked for."""

    def __init__(self) -> None:
        self.everybody = SortedTokens()
        self.online = SortedTokens()
        self.displaced = Recent(RECENT_SESSIONS)
        self._known: dict[str, Known] = {}
        self._capable: dict[str, SortedTokens] = {}
        self._named: dict[str, SortedTokens] = {}
        self._present: dict[tuple[Road, str], set[str]] = {}

    @property
    def size(self) -> int:
        """How many are registered or revoked."""
        return len(self._known)

    def get(self, token: str) -> Known | None:
        """What is known of an agent."""
        return self._known.get(token)

    def of_did(self, did: str) -> Known | None:
        """Likewise, by its DID, which need not be a good one."""
        return self._known.get(did.removeprefix(PREFIX)) if did.startswith(PREFIX) else None

    def is_revoked(self, did: str) -> bool:
        """Whether the key of a DID is void."""
        known = self.of_did(did)
        return known is not None and known.record is not None and known.record.revoked_ms > 0

    def presence(self, token: str) -> PresenceRecord | None:
        """Where an agent is connected."""
        known = self._known.get(token)
        return known.presence if known is not None else None

    def capable(self, capability: str) -> SortedTokens:
        """Who offers a capability."""
        return self._capable.get(capability) or SortedTokens()

    def named(self, name: str) -> SortedTokens:
        """Who has a name; names are not unique."""
        return self._named.get(name) or SortedTokens()

    def present(self) -> Iterator[tuple[str, PresenceRecord]]:
        """Everybody who is connected, listed or not."""
        tokens = [token for at in self._present.values() for token in at]
        for token in tokens:
            presence = self.presence(token)
            if presence is not None:
                yield token, presence

    def present_at(self, road: Road, instance: str) -> tuple[str, ...]:
        """Who is connected to one edge, or one server."""
        return tuple(self._present.get((road, instance), ()))

    def count_present(self, road: Road) -> int:
        """How many are connected on one road."""
        return sum(len(tokens) for (of, _), tokens in self._present.items() if of is road)

    def apply_record(self, token: str, record: RegistryRecord | None, revision: int) -> None:
        """Take over what the registry says of an agent."""
        known = self._known.setdefault(token, Known())
        if revision <= known.record_revision:
            return
        self._unlist(token, known)
        # The callers are relay's business, and may be many.
        known.record = None if record is None else replace(record, callers=())
        known.record_revision = revision
        self._list(token, known)

    def apply_presence(self, token: str, presence: PresenceRecord | None, revision: int) -> None:
        """Take over where an agent is connected."""
        known = self._known.setdefault(token, Known())
        if revision <= known.presence_revision:
            return
        before, known.presence, known.presence_revision = known.presence, presence, revision
        self._move(token, before, presence)
        if before is not None and presence is not None and before.session != presence.session:
            self.displaced.add(before.session)
        if known.listed and (before is None) != (presence is None):
            (self.online.add if presence else self.online.discard)(token)

    def _list(self, token: str, known: Known) -> None:
        record = known.listed
        if record is None:
            return
        self.everybody.add(token)
        if known.presence is not None:
            self.online.add(token)
        for capability in set(record.capabilities):
            self._capable.setdefault(capability, SortedTokens()).add(token)
        if record.name is not None:
            self._named.setdefault(record.name, SortedTokens()).add(token)

    def _unlist(self, token: str, known: Known) -> None:
        record = known.listed
        if record is None:
            return
        self.everybody.discard(token)
        self.online.discard(token)
        for capability in set(record.capabilities):
            _take_out(self._capable, capability, token)
        if record.name is not None:
            _take_out(self._named, record.name, token)

    def _move(self, token: str, before: PresenceRecord | None, after: PresenceRecord | None) -> None:
        if before is not None:
            left = self._present[before.road, before.instance]
            left.discard(token)
            if not left:
                del self._present[before.road, before.instance]
        if after is not None:
            self._present.setdefault((after.road, after.instance), set()).add(token)


def _take_out(index: dict[str, SortedTokens], key: str, token: str) -> None:
    index[key].discard(token)
    if not index[key]:
        del index[key]
