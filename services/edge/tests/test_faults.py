"""What agents notice when services or the bus fall over, and what mends itself."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from aiconexus.bus.session import Session
from aiconexus.cli.testing import logged_platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import (
    Agents as Listed,
)
from aiconexus.protocol.bodies import (
    Body,
    Discover,
    Error,
    Message,
    Ping,
    Pong,
    Presence,
    Receipt,
    Resolve,
    Unregister,
    Watch,
)
from aiconexus.protocol.closing import Close

from .world import Agent, Agents, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

MENDING_SECONDS = 20


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A platform that may be broken."""
    async with logged_platform(tmp_path_factory.mktemp("edge"), services=("identity", "relay", "signaling")) as running:
        yield World(running)


async def until(agent: Agent, body: Body, service: str, wanted: type[Body]) -> Body:
    """Ask again and again until the answer is no error."""
    async with asyncio.timeout(MENDING_SECONDS):
        while not isinstance(answer := await agent.ask(body, agent.services[service]), wanted):
            await asyncio.sleep(0.1)
    return answer


async def test_absent_relay_is_told_at_once(world: World, agents: Agents) -> None:
    """Nobody serves mail: a retryable ERROR by the edge, which goes on, and mail again when the relay is back."""
    async with world.edge() as edge:
        agent = await agents.agent(edge)
        await world.platform.kill("relay")
        try:
            answer = await agent.ask(Message(content=1), agent.did)
            pong = await agent.ask(Ping(sequence=1), agent.services["edge"])
        finally:
            await world.platform.restart("relay")

        assert isinstance(answer, Error)
        assert ("unavailable", True) == (answer.problem, answer.retryable)
        assert Pong(sequence=1) == pong
        assert isinstance(await until(agent, Ping(sequence=2), "relay", Pong), Pong)


async def test_absent_identity_lets_nobody_in_and_nobody_down(world: World, agents: Agents) -> None:
    """New agents are told to try later, connected ones exchange mail, and who left meanwhile is offline after."""
    async with world.edge() as edge:
        alice, bob = await agents.agent(edge), await agents.agent(edge)
        leaver = await agents.agent(edge)
        await world.platform.kill("identity")
        try:
            stranger = await agents.stranger(edge)
            refusal = (await stranger.exchange(stranger.registration())).body
            await leaver.socket.close()
            receipt = await alice.ask(Message(content=1), bob.did)
            listing = await alice.ask(Discover(), alice.services["identity"])
        finally:
            await world.platform.restart("identity")

        assert isinstance(refusal, Error)
        assert refusal.retryable
        assert Close.TRY_LATER == (await stranger.ending())[0]
        assert isinstance(receipt, Receipt)
        assert isinstance(listing, Error)
        async with asyncio.timeout(MENDING_SECONDS):
            while await _online(alice, leaver.did):
                await asyncio.sleep(0.1)
        assert await _online(alice, bob.did)


async def test_health_tells_of_an_absent_identity(world: World, agents: Agents) -> None:
    """Readiness depends on identity, without which nobody gets in."""
    async with world.edge() as edge:
        await world.platform.kill("identity")
        try:
            async with asyncio.timeout(60), aiohttp.ClientSession() as http:
                while (response := await http.get(f"{edge.http}/health")).status == 200:
                    await asyncio.sleep(0.5)
                report = await response.json()
        finally:
            await world.platform.restart("identity")

        assert (503, "unhealthy") == (response.status, report["components"]["identity"]["status"])


async def test_bus_that_dies_is_told_and_mends(world: World, agents: Agents) -> None:
    """While the bus is away every request is refused; when it is back the same connections are present again."""
    async with world.edge() as edge:
        alice, bob = await agents.agent(edge), await agents.agent(edge)
        await world.platform.kill("nats")
        try:
            async with asyncio.timeout(MENDING_SECONDS):
                answer = await alice.ask(Message(content=1), bob.did)
        finally:
            await world.platform.restart("nats")
        async with asyncio.timeout(MENDING_SECONDS):
            while not isinstance(await alice.ask(Message(content=2), bob.did), Receipt):
                await asyncio.sleep(0.1)

        assert isinstance(answer, Error)
        assert ("unavailable", True) == (answer.problem, answer.retryable)
        assert Message(content=2) == (await bob.until("MESSAGE")).body
        assert await _online_in_the_end(alice, bob.did)


async def test_agents_of_a_cut_off_edge_are_attached_again(world: World, agents: Agents) -> None:
    """Whose presence was lost while the edge was away is online again without noticing."""
    async with world.edge() as edge, world.edge() as other:
        agent, watcher = await agents.agent(edge), await agents.agent(other)
        await watcher.ask(Watch(dids=(agent.did,)), watcher.services["edge"])
        await _forget(world, agent)
        news = [(await watcher.until("PRESENCE")).body for _ in range(2)]

        assert [False, True] == [each.online for each in news if isinstance(each, Presence)]
        assert Pong(sequence=1) == await agent.ask(Ping(sequence=1), agent.services["edge"])


async def _forget(world: World, agent: Agent) -> None:
    """Have identity believe that the agent's session is over, as after a lost lease."""
    session = await Session.connect(
        [world.platform.endpoints().nats], world.key, name="test", inbox_prefix=subjects.service_inbox("edge")
    )
    data = agent.sealed(Unregister(), agent.services["identity"])
    await session.request(subjects.send(agent.key.token, "identity", "unregister"), data)
    await session.close()


async def _online(asker: Agent, did: str) -> bool:
    answer = await until(asker, Resolve(dids=(did,)), "identity", Listed)
    assert isinstance(answer, Listed)
    return any(card.online for card in answer.agents)


async def _online_in_the_end(asker: Agent, did: str) -> bool:
    async with asyncio.timeout(MENDING_SECONDS):
        while not await _online(asker, did):
            await asyncio.sleep(0.1)
    return True
