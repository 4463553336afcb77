import asyncio

import msgspec
import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.records import REGISTRY, RegistryRecord
from aiconexus.runtime.roster import Roster

from .world import World


class Registry:
    """What identity knows, and a roster of it with records that count for three seconds."""

    def __init__(self, bucket: Bucket, world: World) -> None:
        self.bucket = bucket
        self.clock = [1000.0]
        self._world = world

    async def enrol(self, token: str, revoked_ms: int = 0) -> None:
        """Write a record."""
        record = RegistryRecord(did=f"did:key:{token}", registered_ms=1, updated_ms=1, revoked_ms=revoked_ms)
        await self.bucket.put(token, msgspec.msgpack.encode(record))

    async def roster(self, entries_max: int = 10) -> Roster[RegistryRecord]:
        """As a service has it."""
        bucket = Bucket(await self._world.session("relay"), REGISTRY)
        return Roster(bucket, RegistryRecord, 3.0, entries_max, lambda: self.clock[0])


@pytest.fixture
async def registry(world: World) -> Registry:
    """Ann and Bob are registered."""
    registry = Registry(await Bucket.ensure(await world.session("identity"), REGISTRY), world)
    for token in ("ann", "bob"):
        await registry.enrol(token)
    return registry


async def test_a_record_counts_for_its_time(registry: Registry) -> None:
    """It is read once, then at hand, and after its time it has to be read again."""
    known = await registry.roster()
    before = known.known("ann", 1000.0)
    read = await known.look_up("ann")

    assert before is None
    assert read is known.known("ann", 1001.0) is await known.look_up("ann")
    assert known.known("ann", 1003.5) is None


async def test_a_record_in_use_is_renewed_before_its_end(registry: Registry) -> None:
    """In its second half it still counts, and the next one is on its way."""
    known = await registry.roster()
    await known.look_up("ann")
    await registry.enrol("ann", revoked_ms=5)
    registry.clock[0] = 1002.0
    old = known.known("ann", registry.clock[0])
    known.known("ann", registry.clock[0])
    async with asyncio.timeout(5):
        while (new := known.known("ann", 1003.5)) is None:
            await asyncio.sleep(0)

    assert (old and old.revoked_ms, new.revoked_ms) == (0, 5)


async def test_news_counts_more_than_what_was_read(registry: Registry) -> None:
    """A record that has changed is read again, also when the reading had begun before the news."""
    known = await registry.roster()
    await known.look_up("ann")
    known.forget("ann")
    before = known.known("ann", 1000.0)
    reading = asyncio.create_task(known.look_up("ann"))
    await asyncio.sleep(0)
    known.forget("ann")
    await reading

    assert before is None
    assert known.known("ann", 1000.0) is None
    assert await known.look_up("ann") is known.known("ann", 1000.0)


async def test_the_unknown_are_asked_for_each_time(registry: Registry) -> None:
    """Nobody stays unknown after registering, and who is gone is forgotten."""
    known = await registry.roster()
    before = await known.look_up("late")
    await registry.enrol("late")
    after = await known.look_up("late")
    await registry.bucket.delete("late")
    registry.clock[0] += 10

    assert (before, after and after.did) == (None, "did:key:late")
    assert await known.look_up("late") is None
    assert known.known("late", 1000.0) is None


async def test_records_are_bounded(registry: Registry) -> None:
    """The one that was read longest ago is forgotten first."""
    known = await registry.roster(entries_max=1)
    await known.look_up("ann")
    await known.look_up("bob")

    assert known.known("ann", 1000.0) is None
    assert known.known("bob", 1000.0) is not None


async def test_many_who_ask_share_one_read_and_its_failure(registry: Registry) -> None:
    """Without the bus everybody who waits learns it."""
    known = await registry.roster()
    await known._bucket._session.close()
    results = await asyncio.gather(*(known.look_up("ann") for _ in range(3)), return_exceptions=True)

    assert [True] * 3 == [isinstance(result, BusError) for result in results]


async def test_a_renewal_that_fails_harms_nobody(registry: Registry) -> None:
    """The record counts until its end; then whoever asks learns that the bus is away."""
    known = await registry.roster()
    await known.look_up("ann")
    await known._bucket._session.close()
    registry.clock[0] = 1002.0
    assert known.known("ann", registry.clock[0]) is not None
    registry.clock[0] = 1004.0
    with pytest.raises(BusError):
        await known.look_up("ann")
