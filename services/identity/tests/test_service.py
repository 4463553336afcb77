import asyncio
import contextlib

import msgspec

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.bus.testing import new_key
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.bodies import Agents, Discover, Road
from aiconexus.protocol.errors import BusUnavailable
from aiconexus.protocol.records import PRESENCE, PresenceRecord
from aiconexus.runtime.context import Context
from aiconexus.runtime.health import Status

from .world import PATIENCE_SECONDS, Agent, World, came, went

Identity = Context[IdentitySettings]

OWN_CONNECTIONS = 2
"""Those that identity makes itself: to the callout's account and to the system account."""


async def test_two_replicas_tell_once(world: World) -> None:
    """Both replicas see every connection come and go; the watchers hear of each change exactly once."""
    heard = await world.watch()
    async with world.identity("i1"), world.identity("i2"):
        agents = [await Agent(world, new_key()).connect() for _ in range(10)]
        edge, keys = await world.edge(), [new_key() for _ in range(10)]
        for agent in agents:
            await agent.register()
        for key in keys:
            await edge.attach(key, f"s-{key.token}")
        for agent in agents:
            await agent.session.close()
        await edge.context.session.close()
        for key in [*keys, *(agent.key for agent in agents)]:
            await heard.wait_for(went(key))
        marker = await Agent(world, new_key()).connect()
        await marker.register()
        await heard.wait_for(came(marker.key))

    assert 41 == len(heard.letters)


async def test_replicas_agree(world: World) -> None:
    """Whichever replica is asked, what another one wrote is found, and soon."""
    async with world.identity("i1"), world.identity("i2"):
        agents = [await Agent(world, new_key()).connect() for _ in range(6)]
        heard = await world.watch()
        for agent in agents:
            await agent.register()
        await heard.wait_for(came(agents[-1].key))
        async with asyncio.timeout(1):
            await until_listed(agents[0], len(agents))


async def until_listed(agent: Agent, count: int) -> None:
    """Ask both replicas often enough that each of them answers."""
    sizes = set[int]()
    while sizes != {count}:
        answers = await asyncio.gather(*(agent.ask(Discover(online=True)) for _ in range(8)))
        sizes = {len(answer.agents) for answer in answers if isinstance(answer, Agents)}


async def test_one_replica_is_enough(world: World) -> None:
    """When a replica ends, the other one has read the same registry and notices the same departures."""
    heard = await world.watch()
    async with world.identity("i1"):
        async with world.identity("i2"):
            agent = await Agent(world, new_key()).connect()
            await agent.register(name="ada")
        found = await (await Agent(world, new_key()).connect()).ask(Discover(name="ada", online=True))
        await agent.session.close()
        await heard.wait_for(went(agent.key), 1)

    assert isinstance(found, Agents)
    assert [agent.key.did] == [card.did for card in found.agents]


async def test_who_left_while_nobody_looked_is_gone_at_the_start(world: World) -> None:
    """Identity compares what is recorded with what the servers say as soon as it runs, and leaves the others."""
    heard = await world.watch()
    async with world.identity():
        stays, leaves = await Agent(world, new_key()).connect(), await Agent(world, new_key()).connect()
        await stays.register()
        await leaves.register()
    await leaves.session.close()
    async with world.identity():
        await heard.wait_for(went(leaves.key))
        found = await stays.ask(Discover(online=True))

    assert isinstance(found, Agents)
    assert [stays.key.did] == [card.did for card in found.agents]


async def test_who_is_missed_is_found_by_the_next_sweep(world: World) -> None:
    """A presence that no event has ended is removed by a sweep: of a dead server, and of an edge without a lease."""
    heard = await world.watch()
    native, at_edge = new_key(), new_key()
    async with world.identity(cleanup_seconds=0.2) as identity:
        await world.edge("alive")
        bucket = Bucket(identity.session, PRESENCE)
        for key, road, session in ((native, Road.NATS, "dead/1/start"), (at_edge, Road.EDGE, "s1")):
            record = PresenceRecord(
                did=key.did, session=session, road=road, instance="dead", since_ms=now_ms() - 60_000
            )
            await bucket.put(key.token, msgspec.msgpack.encode(record))
        await heard.wait_for(went(native))
        await heard.wait_for(went(at_edge))


async def test_without_leases_a_connection_counts(world: World) -> None:
    """While the edges' bucket is not there, an edge that is connected keeps its agents, and another one does not."""
    heard = await world.watch()
    kept, lost = new_key(), new_key()
    async with world.identity(cleanup_seconds=0.2) as identity:
        await world.context("edge", "alive", identity.settings)
        bucket = Bucket(identity.session, PRESENCE)
        for key, edge in ((kept, "alive"), (lost, "dead")):
            record = PresenceRecord(did=key.did, session="s", road=Road.EDGE, instance=edge, since_ms=1_000)
            await bucket.put(key.token, msgspec.msgpack.encode(record))
        await heard.wait_for(went(lost))
        entry = await bucket.get(kept.token)

    assert entry is not None


async def test_identity_survives_the_bus(world: World) -> None:
    """After a crash of the server agents log in and register again, and who does not come back is gone."""
    async with world.identity() as identity:
        back, away = await Agent(world, new_key()).connect(), await Agent(world, new_key()).connect()
        await back.register()
        await away.register()
        await world.server.kill()
        await world.server.start()
        async with asyncio.timeout(PATIENCE_SECONDS * 3):
            await until_back(world, identity)
            again = await until_connected(world, back)
            await again.register()
            await until_listed(again, 1)
        found = await again.ask(Discover(online=True))
        report = await identity.health.report()

    assert isinstance(found, Agents)
    assert [back.key.did] == [card.did for card in found.agents]
    assert {Status.HEALTHY} == {report.components[role].status for role in ("system", "callout")}


async def until_back(world: World, identity: Identity) -> None:
    """Every connection of identity was lost and made again."""
    while len(world.lines.of("identity.connection_failed")) < OWN_CONNECTIONS or not identity.session.reconnects:
        await identity.health.report()
    while (await identity.health.report()).components["callout"].status is not Status.HEALTHY:
        await identity.session.barrier(PATIENCE_SECONDS)


async def until_connected(world: World, agent: Agent) -> Agent:
    """Log in again and again, as an agent does."""
    while True:
        with contextlib.suppress(BusUnavailable):
            return await Agent(world, agent.key).connect()
