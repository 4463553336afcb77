"""Agents of the tests: real keys from known seeds, and what identity records of them."""

from msgspec.structs import replace

from aiconexus.identity.roster import Roster
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.records import PresenceRecord, RegistryRecord

PEOPLE = [SigningKey(bytes([number]) * 32) for number in range(1, 9)]
IN_ORDER = sorted(key.token for key in PEOPLE)


def record(token: str, **fields: object) -> RegistryRecord:
    """A record of somebody who registered at 1,000 ms."""
    return replace(RegistryRecord(did=f"did:key:{token}", registered_ms=1_000, updated_ms=1_000), **fields)


def presence(token: str, session: str = "s1", **fields: object) -> PresenceRecord:
    """Somebody who is connected to the edge ``e1`` since 2,000 ms."""
    found = PresenceRecord(did=f"did:key:{token}", session=session, road=Road.EDGE, instance="e1", since_ms=2_000)
    return replace(found, **fields)


def roster(**fields: object) -> Roster:
    """A roster that knows everybody; ``fields`` go into each record."""
    full = Roster()
    for revision, key in enumerate(PEOPLE, start=1):
        full.apply_record(key.token, record(key.token, **fields), revision)
    return full
