"""What lies in the buckets."""

import msgspec
import pytest

from aiconexus.protocol.bodies import Policy, Road
from aiconexus.protocol.records import EdgeLease, PresenceRecord, Record, RegistryRecord

from .samples import ALICE, BOB, NOW_MS

RECORDS: list[Record] = [
    RegistryRecord(did=ALICE.did, registered_ms=NOW_MS, updated_ms=NOW_MS),
    RegistryRecord(
        did=ALICE.did,
        name="Alice",
        capabilities=("text.count",),
        codecs=(2,),
        policy=Policy.LISTED,
        callers=(BOB.did,),
        registered_ms=NOW_MS,
        updated_ms=NOW_MS + 1,
        revoked_ms=NOW_MS + 2,
    ),
    PresenceRecord(did=ALICE.did, session="N1.5", road=Road.NATS, instance="N1", since_ms=NOW_MS),
    EdgeLease(edge="edge-1", since_ms=NOW_MS),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_record_is_read_as_it_was_written(record: Record) -> None:
    """One service writes, another reads the same."""
    assert record == msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=type(record))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_record_of_a_later_release_is_read(record: Record) -> None:
    """Releases can be mixed: a field that this one does not know is ignored."""
    members = msgspec.msgpack.decode(msgspec.msgpack.encode(record))

    assert record == msgspec.msgpack.decode(msgspec.msgpack.encode({**members, "later": 1}), type=type(record))
