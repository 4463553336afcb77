import asyncio

import msgspec
import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.testing import new_key
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol.bodies import Agents, Discover, Error, Resolve, Revoke, Revoked, Takeover
from aiconexus.protocol.errors import BusUnavailable
from aiconexus.protocol.records import PRESENCE, PresenceRecord
from aiconexus.runtime.context import Context
from aiconexus.runtime.testing import counted

from .world import PATIENCE_SECONDS, Agent, World, came, went

Identity = Context[IdentitySettings]


async def presence_of(identity: Identity, token: str) -> PresenceRecord | None:
    """What is recorded."""
    entry = await Bucket(identity.session, PRESENCE).get(token)
    return msgspec.msgpack.decode(entry.value, type=PresenceRecord) if entry is not None else None


async def test_the_later_session_on_nats_stays(world: World, identity: Identity) -> None:
    """The earlier connection is told by whom it was displaced, then disconnected; the later one lives on."""
    key, kicks = new_key(), counted("aiconexus_identity_kicks_total", cause="taken_over")
    earlier, later = await Agent(world, key).connect(), await Agent(world, key).connect()
    first = await earlier.register()
    second = await later.register()
    async with asyncio.timeout(1):
        await earlier.closed.wait()
        # The server's answer to the kick may come after the kick itself.
        while kicks == counted("aiconexus_identity_kicks_total", cause="taken_over"):
            await asyncio.sleep(0.01)
    found = await presence_of(identity, key.token)

    assert first.session != second.session
    assert [Takeover(session=second.session)] == earlier.live.bodies(Takeover)
    assert found is not None
    assert second.session == found.session
    assert not later.closed.is_set()
    assert kicks + 1 == counted("aiconexus_identity_kicks_total", cause="taken_over")


async def test_a_session_moves_between_the_roads(world: World, identity: Identity) -> None:
    """From edge to edge to NATS and back: each holder hears whose session counts, watchers hear where it is."""
    heard = await world.watch()
    one, two, key = await world.edge("e1"), await world.edge("e2"), new_key()
    pushed = await one.hear(key)
    await one.attach(key, "s1")
    await two.attach(key, "s2")
    await pushed.wait_for(lambda body: body == Takeover(session="s2"), 1)
    agent = await Agent(world, key).connect()
    native = (await agent.register()).session
    await pushed.wait_for(lambda body: body == Takeover(session=native), 1)
    await one.attach(key, "s3")
    async with asyncio.timeout(1):
        await agent.closed.wait()
    await heard.wait_for(came(key, "s3"))
    found = await presence_of(identity, key.token)

    assert found is not None
    assert "s3" == found.session
    assert ["s1", "s2", native, "s3"] == [letter.body.session for letter in heard.letters]  # type: ignore[attr-defined]


async def test_a_revoked_key_is_void_at_once(world: World, identity: Identity) -> None:
    """Its owner is answered and told, disconnected and never let in again; others see that it is void."""
    heard = await world.watch()
    key, logins = new_key(), counted("aiconexus_identity_logins_total", outcome="revoked")
    agent, second = await Agent(world, key).connect(), await Agent(world, key).connect()
    session = (await agent.register()).session
    answer = await agent.ask(Revoke(reason="lost"))
    async with asyncio.timeout(1):
        await agent.closed.wait()
        await second.closed.wait()
    await heard.wait_for(went(key, session), 1)
    with pytest.raises(BusUnavailable):
        await Agent(world, key).connect()
    other = await Agent(world, new_key()).connect()
    resolved, discovered = await other.ask(Resolve(dids=(key.did,))), await other.ask(Discover())

    assert isinstance(answer, Revoked)
    assert [answer] == agent.live.bodies(Revoked)
    assert isinstance(resolved, Agents)
    assert [(True, False)] == [(card.revoked, card.online) for card in resolved.agents]
    assert Agents() == discovered
    assert logins + 1 == counted("aiconexus_identity_logins_total", outcome="revoked")


async def test_a_void_key_is_attached_by_no_edge(world: World, identity: Identity) -> None:
    """The edge that holds the session is told; attaching again is refused, and revoking again changes nothing."""
    edge, key = await world.edge(), new_key()
    pushed = await edge.hear(key)
    await edge.attach(key, "s1")
    passed_on = Agent(world, key)
    passed_on.session = edge.context.session
    first = await passed_on.ask(Revoke())
    await pushed.wait_for(lambda body: isinstance(body, Revoked), 1)
    again = await edge.attach(key, "s2")
    second = await passed_on.ask(Revoke())
    listing = await passed_on.ask(Discover())

    assert isinstance(first, Revoked)
    assert first == second
    assert isinstance(again.body, Error)
    assert isinstance(listing, Error)
    assert ("key_revoked", "key_revoked") == (again.body.problem, listing.problem)


async def test_a_key_can_be_revoked_that_never_registered(world: World, identity: Identity) -> None:
    """Its owner may void it before anybody else uses it."""
    agent = await Agent(world, new_key()).connect()
    answer = await agent.ask(Revoke())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await agent.closed.wait()

    assert isinstance(answer, Revoked)


async def test_only_one_of_many_sessions_stays(world: World, identity: Identity) -> None:
    """Whoever registers the same agent at the same moment, one session is recorded, and each that lost is counted."""
    takeovers = counted("aiconexus_identity_takeovers_total")
    edge, key = await world.edge(), new_key()
    async with world.identity("i2"):
        sessions = [f"s{number}" for number in range(8)]
        letters = await asyncio.gather(*(edge.attach(key, session) for session in sessions))
        found = await presence_of(identity, key.token)

    assert {"REGISTERED"} == {letter.envelope.type for letter in letters}
    assert found is not None
    assert found.session in sessions
    assert takeovers + 7 == counted("aiconexus_identity_takeovers_total")
