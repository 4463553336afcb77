import asyncio
import os

import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.records import REGISTRY, RegistryRecord
from aiconexus.relay.roster import Roster

from .world import Agent, World


async def roster(world: World, clock: list[float], entries_max: int = 10) -> Roster[RegistryRecord]:
    """Of the registry, with records that count for three seconds."""
    bucket = Bucket(await world.session("relay"), REGISTRY)
    return Roster(bucket, RegistryRecord, 3.0, entries_max, lambda: clock[0])


async def test_a_record_counts_for_its_time(world: World, ann: Agent) -> None:
    """It is read once, then at hand, and after its time it has to be read again."""
    clock = [1000.0]
    known = await roster(world, clock)
    before = known.known(ann.key.token, 1000.0)
    read = await known.look_up(ann.key.token)

    assert before is None
    assert read is known.known(ann.key.token, 1001.0) is await known.look_up(ann.key.token)
    assert known.known(ann.key.token, 1003.5) is None


async def test_a_record_in_use_is_renewed_before_its_end(world: World, ann: Agent) -> None:
    """In its second half it still counts, and the next one is on its way."""
    clock = [1000.0]
    known = await roster(world, clock)
    await known.look_up(ann.key.token)
    await world.enrol(ann, revoked_ms=5)
    clock[0] = 1002.0
    old = known.known(ann.key.token, clock[0])
    known.known(ann.key.token, clock[0])
    async with asyncio.timeout(5):
        while (new := known.known(ann.key.token, 1003.5)) is None:
            await asyncio.sleep(0)

    assert (old and old.revoked_ms, new.revoked_ms) == (0, 5)


async def test_the_unknown_are_asked_for_each_time(world: World) -> None:
    """Nobody stays unknown after registering, and who is gone is forgotten."""
    clock = [1000.0]
    known = await roster(world, clock)
    late = Agent(world, SigningKey(os.urandom(32)))
    before = await known.look_up(late.key.token)
    await world.enrol(late)
    after = await known.look_up(late.key.token)
    await world.registry.delete(late.key.token)
    clock[0] += 10

    assert (before, after and after.did) == (None, late.did)
    assert await known.look_up(late.key.token) is None
    assert known.known(late.key.token, 1000.0) is None


async def test_records_are_bounded(world: World, ann: Agent, bob: Agent) -> None:
    """The one that was read longest ago is forgotten first."""
    known = await roster(world, [1000.0], entries_max=1)
    await known.look_up(ann.key.token)
    await known.look_up(bob.key.token)

    assert known.known(ann.key.token, 1000.0) is None
    assert known.known(bob.key.token, 1000.0) is not None


async def test_many_who_ask_share_one_read_and_its_failure(world: World, ann: Agent) -> None:
    """Without the bus everybody who waits learns it."""
    known = await roster(world, [1000.0])
    await known._bucket._session.close()
    results = await asyncio.gather(*(known.look_up(ann.key.token) for _ in range(3)), return_exceptions=True)

    assert [True] * 3 == [isinstance(result, BusError) for result in results]


async def test_a_renewal_that_fails_harms_nobody(world: World, ann: Agent) -> None:
    """The record counts until its end; then whoever asks learns that the bus is away."""
    clock = [1000.0]
    known = await roster(world, clock)
    await known.look_up(ann.key.token)
    await known._bucket._session.close()
    clock[0] = 1002.0
    assert known.known(ann.key.token, clock[0]) is not None
    clock[0] = 1004.0
    with pytest.raises(BusError):
        await known.look_up(ann.key.token)
