import asyncio
import time

from aiconexus.bus.buckets import Bucket
from aiconexus.protocol.records import RELAY
from aiconexus.relay.lease import Lease

from .world import World


async def bucket(world: World) -> Bucket:
    """Where leases are kept for two seconds."""
    return await Bucket.ensure(await world.session("relay"), RELAY, ttl_seconds=2, memory=True)


async def test_only_one_holds_a_lease_until_it_gives_it_back(world: World) -> None:
    """A second holder waits, and gets it at once when the first goes in order."""
    leases = [Lease(await bucket(world), "k", name, 2.0, time.monotonic) for name in ("a", "b")]
    held = [await lease.hold() for lease in leases]
    await leases[0].give_back()
    await leases[1].give_back()

    assert held == [True, False]
    assert await leases[1].hold()
    assert leases[1].is_held


async def test_a_lease_that_nobody_renews_goes_to_the_next(world: World) -> None:
    """A holder that vanished is replaced after the time of the lease, one that renews is not."""
    clock = [1000.0]
    kept = await bucket(world)
    first, second = (Lease(kept, "k", name, 2.0, time.monotonic) for name in ("a", "b"))
    renewed = Lease(kept, "other", "a", 2.0, lambda: clock[0])
    assert await first.hold()
    assert await renewed.hold()
    clock[0] += 1.0
    assert await renewed.hold()
    async with asyncio.timeout(8):
        while not await second.hold():
            clock[0] += 1.0
            assert await renewed.hold()

    assert not await first.hold()


async def test_without_the_bus_a_lease_ends_by_our_own_clock(world: World) -> None:
    """What we hold counts until its end, although it cannot be renewed, and not a moment longer."""
    clock = [1000.0]
    lease = Lease(await bucket(world), "k", "a", 2.0, lambda: clock[0])
    assert await lease.hold()
    session = lease._bucket._session
    await session.close()
    clock[0] += 1.0
    still = await lease.hold()
    clock[0] += 2.0

    assert (still, await lease.hold()) == (True, False)
    await lease.give_back()
