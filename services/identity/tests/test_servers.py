from aiconexus.bus.session import Session
from aiconexus.bus.testing import new_key
from aiconexus.identity.events import Connection
from aiconexus.identity.servers import Servers
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol import subjects
from aiconexus.runtime.context import Context

from .world import Agent, World

Identity = Context[IdentitySettings]


async def system(world: World) -> Session:
    """A session of our own in the system account."""
    return await world.join(world.keys["system"], "test", subjects.service_inbox("identity"))


async def test_a_census_counts_every_agent(world: World, identity: Identity) -> None:
    """All pages of all servers together list the agents' connections, and nobody else's."""
    agents = [await Agent(world, new_key()).connect() for _ in range(5)]
    sessions = {(await agent.register()).session for agent in agents}
    census = await Servers(await system(world), page=2).census()

    assert census.is_complete
    assert [sessions] == [{each.session for each in found} for found in census.connections.values()]


async def test_one_agent_is_found_and_disconnected(world: World, identity: Identity) -> None:
    """A connection is known by its number and its beginning: another that has the number now is left alone."""
    agent, other = await Agent(world, new_key()).connect(), await Agent(world, new_key()).connect()
    servers = Servers(await system(world))
    await servers.census()
    found = await servers.connections_of(agent.key.did)
    earlier = Connection(found[0].server, found[0].cid, "before")
    kicked = [await servers.kick(each) for each in (earlier, Connection("elsewhere", 1, ""), *found)]
    await agent.closed.wait()

    assert [False, False, True] == kicked
    assert not await servers.is_connected(found[0])
    assert not other.closed.is_set()


async def test_an_edge_is_found_by_its_name(world: World, identity: Identity) -> None:
    """The client name tells the edges apart, on whichever page they are."""
    await world.edge("e1")
    servers = Servers(await system(world), page=1)

    assert [True, False] == [await servers.has_edge(each) for each in ("e1", "e")]
