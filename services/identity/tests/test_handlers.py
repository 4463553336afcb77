import asyncio

import pytest

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.testing import new_key
from aiconexus.identity.platform import AGE_MAX_MS
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Agents, Discover, Error, PlatformInfo, Resolve
from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.seal import Codec, compose, unseal
from aiconexus.runtime.ask import ask
from aiconexus.runtime.context import Context

from .world import Agent, World

Identity = Context[IdentitySettings]


async def test_the_platform_says_who_it_is(world: World, identity: Identity) -> None:
    """An empty request, from an agent or a service, is answered with a fresh statement that identity signed."""
    agent = await Agent(world, new_key()).connect()
    edge = await world.edge()
    asked = [
        await agent.session.request(subjects.send(agent.key.token, "identity", "platform"), b""),
        await edge.context.session.request(subjects.service("identity", "platform"), b""),
    ]
    letters = [unseal(answer.data) for answer in asked]

    for letter in letters:
        check_fresh(letter.envelope, now_ms() + AGE_MAX_MS)
    assert [(world.platform, None, PlatformInfo(services=world.directory.services))] * 2 == [
        (letter.envelope.sender, letter.envelope.recipient, letter.body) for letter in letters
    ]


async def test_everybody_is_found_page_by_page(world: World, identity: Identity) -> None:
    """Paging through DISCOVER shows every agent once, in either codec."""
    agents = [await Agent(world, new_key()).connect() for _ in range(7)]
    await asyncio.gather(*(agent.register(capabilities=("work",)) for agent in agents))
    for codec in Codec:
        seen: list[str] = []
        cursor = None
        while not seen or cursor:
            found = await agents[0].ask(Discover(capability="work", limit=3, cursor=cursor), codec)
            assert isinstance(found, Agents)
            seen += [card.did for card in found.agents]
            cursor = found.cursor

        assert sorted(agent.key.did for agent in agents) == seen


async def test_an_edge_may_ask_who_is_there(world: World, identity: Identity) -> None:
    """What an edge lists over HTTP it asks in its own name; no other service may."""
    edge, key = await world.edge(), new_key()
    await edge.attach(key, "s1")
    found = (await ask(edge.context, "identity", "discover", Discover(online=True))).body
    named = (await ask(edge.context, "identity", "resolve", Resolve(dids=(key.did,)))).body

    assert isinstance(found, Agents)
    assert [key.did] == [card.did for card in found.agents]
    assert found == named


async def test_relay_attaches_nobody(world: World, identity: Identity) -> None:
    """Only an edge may vouch for an agent's session."""
    relay = await world.context("relay", "r1", identity.settings)
    with pytest.raises(RemoteProblem) as caught:
        await ask(relay, "identity", "discover", Discover())

    assert "refused" == caught.value.error.problem


async def test_a_request_counts_once(world: World, identity: Identity) -> None:
    """A replayed request and one under a foreign name are refused with their codes."""
    agent, victim = await Agent(world, new_key()).connect(), new_key()
    subject = subjects.send(agent.key.token, "identity", "discover")
    sealed = compose(Discover(), agent.key, world.platform, id_=new_id(), now_ms=now_ms())
    foreign = compose(Discover(), victim, world.platform, id_=new_id(), now_ms=now_ms())
    answers = [unseal((await agent.session.request(subject, data)).data).body for data in (sealed, sealed, foreign)]

    assert isinstance(answers[0], Agents)
    assert ["replayed", "foreign_sender"] == [each.problem for each in answers if isinstance(each, Error)]
