import msgspec
import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.bus.testing import new_key
from aiconexus.identity.reception import LIMITS
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.bodies import (
    AgentCard,
    Agents,
    Discover,
    Error,
    Policy,
    Register,
    Registered,
    Resolve,
    Road,
    Unregister,
    Unregistered,
)
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.limits import FRESHNESS_MS
from aiconexus.protocol.records import REGISTRY, RegistryRecord
from aiconexus.protocol.seal import Codec
from aiconexus.runtime.context import Context

from .world import Agent, World, came, registration, went

Identity = Context[IdentitySettings]


async def card_of(agent: Agent, did: str) -> AgentCard:
    """What an agent learns of another."""
    found = await agent.ask(Resolve(dids=(did,)))
    assert isinstance(found, Agents)
    return found.agents[0]


async def test_an_agent_on_nats_is_present_once_it_registered(world: World, identity: Identity) -> None:
    """Logging in alone is no presence; REGISTER is, and the watchers hear of it within a second."""
    heard = await world.watch()
    agent = await Agent(world, new_key()).connect()
    before = await agent.ask(Resolve(dids=(agent.key.did,)))
    registered = await agent.register(name="ada", capabilities=("math",), policy=Policy.LISTED)
    await heard.wait_for(came(agent.key, registered.session), 1)
    after = await agent.ask(Discover(capability="math", online=True))

    assert Agents() == before
    assert isinstance(after, Agents)
    assert [("ada", True, Road.NATS)] == [(card.name, card.online, card.road) for card in after.agents]
    assert (LIMITS, 30.0) == (registered.limits, registered.heartbeat_seconds)
    assert registered.expires_ms > now_ms() + 290_000


async def test_registering_again_says_something_new(world: World, identity: Identity) -> None:
    """The registry holds what was said last, relay's part included; the session stays and nobody is told."""
    heard = await world.watch()
    agent = await Agent(world, new_key()).connect()
    first = await agent.register(name="ada", capabilities=("math",))
    second = await agent.register(name="bob", policy=Policy.LISTED, callers=("did:key:z1",))
    entry = await Bucket(identity.session, REGISTRY).get(agent.key.token)
    card = await card_of(agent, agent.key.did)

    assert first.session == second.session
    assert 1 == len(heard.letters)
    assert ("bob", (), True) == (card.name, card.capabilities, card.online)
    assert entry is not None
    stored = msgspec.msgpack.decode(entry.value, type=RegistryRecord)
    assert (Policy.LISTED, ("did:key:z1",)) == (stored.policy, stored.callers)


async def test_nobody_registers_a_foreign_key(world: World, identity: Identity) -> None:
    """The public key in REGISTER must be the sender's own."""
    agent = await Agent(world, new_key()).connect()
    answer = await agent.ask(Register(public_key=key_text_of(new_key().did)))

    assert isinstance(answer, Error)
    assert "malformed" == answer.problem


async def test_the_registry_ends_somewhere(world: World) -> None:
    """New agents are refused when there is no room, known ones are not."""
    async with world.identity(registry_max_agents=1):
        known = await Agent(world, new_key()).connect()
        await known.register()
        answer = await (await Agent(world, new_key()).connect()).ask(Register(public_key=key_text_of(new_key().did)))
        stranger = await Agent(world, new_key()).connect()
        refused = await stranger.ask(Register(public_key=key_text_of(stranger.key.did)))
        await known.register(name="new")

    assert isinstance(answer, Error)
    assert isinstance(refused, Error)
    assert ("malformed", "refused") == (answer.problem, refused.problem)


async def test_unregister_takes_the_presence_at_once(world: World, identity: Identity) -> None:
    """Who says good-bye is gone before it disconnects, and may come back on the same connection."""
    heard = await world.watch()
    agent = await Agent(world, new_key()).connect()
    session = (await agent.register()).session
    answer = await agent.ask(Unregister(reason="done"))
    await heard.wait_for(went(agent.key, session), 1)
    card = await card_of(agent, agent.key.did)
    again = await agent.register()

    assert Unregistered(reason="done") == answer
    assert not card.online
    assert session == again.session


@pytest.mark.parametrize("codec", list(Codec))
async def test_an_edge_brings_an_agent(world: World, identity: Identity, codec: Codec) -> None:
    """The answer is identity's to the agent, in the agent's codec; the watchers hear of it within a second."""
    heard = await world.watch()
    edge, key = await world.edge(), new_key()
    letter = await edge.attach(key, "s1", codec=codec)
    await heard.wait_for(came(key, "s1"), 1)

    assert isinstance(letter.body, Registered)
    assert "s1" == letter.body.session
    assert (world.platform, key.did, codec) == (
        letter.envelope.sender,
        letter.envelope.recipient,
        letter.sealed.codec,
    )


async def test_an_edge_takes_an_agent_away(world: World, identity: Identity) -> None:
    """DETACH ends exactly the session that it names."""
    heard = await world.watch()
    edge, key = await world.edge(), new_key()
    await edge.attach(key, "s1")
    await edge.detach(key, "s0")
    await edge.detach(key, "s1")
    await heard.wait_for(went(key, "s1"), 1)

    assert 2 == len(heard.letters)


async def test_an_agent_of_an_edge_says_good_bye(world: World, identity: Identity) -> None:
    """UNREGISTER that an edge passes on ends the agent's session there."""
    heard = await world.watch()
    edge, key = await world.edge(), new_key()
    await edge.attach(key, "s1")
    passed_on = Agent(world, key)
    passed_on.session = edge.context.session
    answer = await passed_on.ask(Unregister())
    await heard.wait_for(went(key, "s1"), 1)

    assert Unregistered() == answer


async def test_an_edge_attaches_again_after_an_absence(world: World, identity: Identity) -> None:
    """An old REGISTER brings a known agent back, and changes nothing that it said since."""
    heard = await world.watch()
    edge, key = await world.edge(), new_key()
    old = registration(key, world.platform, at_ms=now_ms() - FRESHNESS_MS - 1)
    stranger = await edge.attach(key, "s1", register=old)
    agent = await Agent(world, key).connect()
    await agent.register(name="new")
    again = await edge.attach(key, "s2", register=old)
    await heard.wait_for(came(key, "s2"), 1)
    asking = await Agent(world, new_key()).connect()
    card = await card_of(asking, key.did)

    assert isinstance(stranger.body, Error)
    assert "unknown_agent" == stranger.body.problem
    assert isinstance(again.body, Registered)
    assert ("new", Road.EDGE) == (card.name, card.road)


async def test_an_edge_hands_over_nothing_but_its_agents_own_word(world: World, identity: Identity) -> None:
    """A REGISTER for somebody else, or one that was changed on the way, is refused to the edge itself."""
    edge, key = await world.edge(), new_key()
    elsewhere = registration(key, world.keys["relay"].did)
    changed = registration(key, world.platform)[:-1] + b"\xff"
    problems = []
    for register in (elsewhere, changed, b"\xc0"):
        with pytest.raises(RemoteProblem) as caught:
            await edge.attach(key, "s1", register=register)
        problems.append(caught.value.error.problem)

    assert ["malformed", "invalid_signature", "malformed"] == problems


async def test_a_displaced_session_does_not_come_back(world: World, identity: Identity) -> None:
    """Of two holders the later one stays: the earlier cannot take its place back by renewing."""
    one, two, key = await world.edge("e1"), await world.edge("e2"), new_key()
    await one.attach(key, "s1")
    await two.attach(key, "s2")
    again = await one.attach(key, "s1")

    assert isinstance(again.body, Error)
    assert "taken_over" == again.body.problem
