import msgspec

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.bus.testing import new_key
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.records import EDGE_LEASE_SECONDS, PRESENCE, PresenceRecord
from aiconexus.runtime.context import Context

from .world import Agent, World, came, went

Identity = Context[IdentitySettings]


async def test_a_lost_connection_ends_the_presence_within_a_second(world: World, identity: Identity) -> None:
    """Nobody has to say good-bye: the server notices that a connection ended."""
    heard = await world.watch()
    agent = await Agent(world, new_key()).connect()
    session = (await agent.register()).session
    await agent.session.close()

    await heard.wait_for(went(agent.key, session), 1)


async def test_the_end_of_an_older_connection_leaves_the_newer_one(world: World, identity: Identity) -> None:
    """Only the end of the very session that is recorded removes a presence."""
    heard = await world.watch()
    key = new_key()
    older, newer = await Agent(world, key).connect(), await Agent(world, key).connect()
    await newer.register()
    await older.session.close()
    await newer.session.close()
    await heard.wait_for(went(key), 1)

    assert 2 == len(heard.letters)


async def test_the_loss_of_an_edge_ends_all_its_presences_within_a_second(world: World, identity: Identity) -> None:
    """The agents of an edge that vanished are gone; those of another edge stay."""
    heard = await world.watch()
    one, two = await world.edge("e1"), await world.edge("e2")
    lost, kept = [new_key() for _ in range(20)], new_key()
    for number, key in enumerate(lost):
        await one.attach(key, f"s{number}")
    await two.attach(kept, "other")
    await one.context.session.close()
    for key in lost:
        await heard.wait_for(went(key), 1)

    assert not any(went(kept)(letter.body) for letter in heard.letters)


async def test_an_edge_that_is_back_at_once_keeps_its_agents(world: World, identity: Identity) -> None:
    """A short loss of the bus is no loss of the edge; the next one is noticed all the same."""
    heard = await world.watch()
    edge, key, later = await world.edge("e1"), new_key(), new_key()
    await edge.attach(key, "s1")
    again = await world.edge("e1")
    await edge.context.session.close()
    await again.attach(later, "s2")
    await heard.wait_for(came(later))
    before = len(heard.letters)
    await again.context.session.close()
    await heard.wait_for(went(key, "s1"), 1)

    assert 2 == before


async def test_the_end_of_a_lease_ends_the_presences(world: World, identity: Identity) -> None:
    """An edge that hangs on to its connection but gives no sign of life loses its agents; the young ones wait."""
    heard = await world.watch()
    edge, old, young = await world.edge("e1"), new_key(), new_key()
    record = PresenceRecord(
        did=old.did,
        session="s1",
        road=Road.EDGE,
        instance="e1",
        since_ms=now_ms() - EDGE_LEASE_SECONDS * 1000,
    )
    await Bucket(identity.session, PRESENCE).put(old.token, msgspec.msgpack.encode(record))
    await edge.attach(young, "s2")
    await edge.leases.delete("e1")
    await heard.wait_for(went(old, "s1"), 2)

    assert not any(went(young)(letter.body) for letter in heard.letters)


async def test_a_registration_that_comes_too_late_does_not_stay(world: World, identity: Identity) -> None:
    """A session that ended before its presence was written down is removed as soon as it is."""
    heard = await world.watch()
    edge, key = await world.edge("e1"), new_key()
    await edge.detach(key, "s1")
    await edge.attach(key, "s1")

    await heard.wait_for(went(key, "s1"), 1)
