import asyncio

import pytest
from msgspec.structs import replace

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.testing import new_key
from aiconexus.identity.registry import Registry, enrolled, read_record, revoked
from aiconexus.identity.roster import Roster
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.bodies import Policy, Register
from aiconexus.protocol.errors import KeyRevoked
from aiconexus.protocol.records import REGISTRY, RegistryRecord
from aiconexus.runtime.context import Context

from .people import PEOPLE, record

Identity = Context[IdentitySettings]

KEY = PEOPLE[0]
BODY = Register(
    public_key="x", name="n", capabilities=("c",), codecs=(1,), policy=Policy.LISTED, callers=("did:key:z1",)
)


def test_a_first_registration_is_written_down_whole() -> None:
    """Everything that an agent says of itself is in its record."""
    found = enrolled(None, KEY.did, BODY, 5)

    assert (
        record(
            KEY.token,
            name="n",
            capabilities=("c",),
            codecs=(1,),
            policy=Policy.LISTED,
            callers=("did:key:z1",),
            registered_ms=5,
            updated_ms=5,
        )
        == found
    )


def test_a_changed_registration_keeps_the_first_day() -> None:
    """Registering again replaces what was said, not when it was first said."""
    before = enrolled(None, KEY.did, BODY, 5)
    found = enrolled(before, KEY.did, replace(BODY, name="m"), 9)

    assert ("m", 5, 9) == (found.name, found.registered_ms, found.updated_ms)


def test_the_same_registration_writes_nothing() -> None:
    """Who says the same again leaves the record as it is."""
    before = enrolled(None, KEY.did, BODY, 5)

    assert before is enrolled(before, KEY.did, BODY, 9)


def test_a_void_key_registers_no_more() -> None:
    """Nothing takes a revocation back."""
    with pytest.raises(KeyRevoked):
        enrolled(record(KEY.token, revoked_ms=3), KEY.did, BODY, 5)


def test_the_first_revocation_counts() -> None:
    """Revoking twice changes nothing, and a key that never registered can be revoked, too."""
    before = record(KEY.token, name="n")
    first = revoked(before, KEY.did, 7)

    assert replace(before, updated_ms=7, revoked_ms=7) == first
    assert first is revoked(first, KEY.did, 9)
    assert (7, 7) == (revoked(None, KEY.did, 7).revoked_ms, revoked(None, KEY.did, 7).registered_ms)


async def test_replicas_do_not_undo_each_other(identity: Identity) -> None:
    """Whatever two replicas write at the same moment, a revocation stays."""
    bucket = Bucket(identity.session, REGISTRY)
    first, second = (Registry(bucket, Roster(), 100) for _ in range(2))
    keys = [new_key() for _ in range(20)]
    for key in keys[10:]:
        await first.enroll(key.did, BODY, 1)
    writes = [first.enroll(key.did, replace(BODY, name="later"), 2) for key in keys]
    revocations = [second.revoke(key.did, 3) for key in keys]
    steps = (each for pair in zip(writes, revocations, strict=True) for each in pair)
    found = await asyncio.gather(*steps, return_exceptions=True)
    entries = [await bucket.get(key.token) for key in keys]

    assert {RegistryRecord} >= {type(each) for each in found} - {KeyRevoked}
    assert [3] * len(keys) == [read_record(entry.value).revoked_ms for entry in entries if entry is not None]
