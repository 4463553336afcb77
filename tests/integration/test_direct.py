"""Direct connections between agents of the SDK: how they come about, go on, and end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiortc import RTCPeerConnection
from tests.integration.agents import Spec
from tests.integration.direct_agents import Told, connected, incidents_of, peers_of
from tests.integration.peers_by_hand import by_hand
from tests.integration.processes import AgentProcess
from tests.integration.sdk_agents import PAIRS, SECONDS, Heard, Host, host_of, listening

from aiconexus.cli.platform import Platform
from aiconexus.protocol.direct_errors import ConnectionFailed
from aiconexus.protocol.errors import Refused, RemoteProblem, TooManyConnections
from aiconexus.protocol.signal_bodies import Offer
from aiconexus.sdk import Agent, Delivery, Direct, Identity
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.states import ConnectionState, IceState

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 50
SESSIONS = 12


@pytest_asyncio.fixture(loop_scope="module")
async def host(platform: Platform, tmp_path: Path) -> AsyncIterator[Host]:
    """Makes agents."""
    async with host_of(platform, tmp_path) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module")
async def alice(host: Host) -> Agent:
    """Who asks."""
    return await host.open(host.make())


@pytest_asyncio.fixture(loop_scope="module")
async def bob(host: Host) -> Agent:
    """Who is asked."""
    return await host.open(host.make())


def stack_of(peer: Peer) -> RTCPeerConnection:
    """The peer connection of the stack that a peer uses now."""
    connection = peer._relation.current
    assert connection is not None
    return connection.pc


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
async def test_one_call_connects_two_agents(host: Host, ours: str, theirs: str) -> None:
    """Whatever road each has to the platform, connect_to ends with a connection that both know of."""
    alice, bob = await host.open(host.make(ours)), await host.open(host.make(theirs))
    peer, mirror = await connected(alice, bob)

    assert (ConnectionState.CONNECTED, ConnectionState.CONNECTED) == (peer.state, mirror.state)
    assert (IceState.COMPLETED, IceState.COMPLETED) == (peer.ice_state, mirror.ice_state)
    assert ("direct", "direct") == (peer.road, mirror.road)
    assert ("offerer", "answerer") == (peer.role, mirror.role)
    assert peer.session == mirror.session
    assert {bob.did: peer} == alice.peers


async def test_states_are_driven_by_the_stack(host: Host, alice: Agent) -> None:
    """The callbacks tell every state in order, of the peer and of its ICE."""
    bob = await host.open(host.make())
    states, ice, roads = Told(), Told(), Told()
    connecting = asyncio.create_task(alice.connect_to(bob.did))
    while bob.did not in alice.peers:
        await asyncio.sleep(0)
    peer = alice.peers[bob.did]
    peer.on_state(states)
    peer.on_ice_state(ice)
    peer.on_road(roads)
    assert ConnectionState.CONNECTING == peer.state
    await connecting
    await peer.close()
    await states.wait_for(ConnectionState.CLOSED)

    assert [ConnectionState.CONNECTED, ConnectionState.CLOSED] == states.facts
    assert [IceState.CHECKING, IceState.COMPLETED] == ice.facts[:2]
    assert ["direct", "relay"] == roads.facts


async def test_connecting_twice_gives_the_same_peer(alice: Agent, bob: Agent) -> None:
    """A second call, and one at the same time, return what is there."""
    first, second = await asyncio.gather(alice.connect_to(bob.did), alice.connect_to(bob.did))

    assert first is second
    assert first is await alice.connect_to(bob.did)
    assert alice.peer(bob.did) is first


async def test_both_at_once_end_with_one_connection(host: Host) -> None:
    """Glare: the offers cross, the lower DID's yields, both callers get the one session."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    ours, theirs = await asyncio.gather(alice.connect_to(bob.did), bob.connect_to(alice.did))

    assert ours.session == theirs.session
    assert {"offerer", "answerer"} == {ours.role, theirs.role}


async def test_offline_peer_is_told_at_once(alice: Agent) -> None:
    """Nobody waits for a deadline when the platform knows that the agent is not there."""
    async with asyncio.timeout(3.0):
        with pytest.raises(RemoteProblem) as refused:
            await alice.connect_to(Identity.generate().did)

    assert refused.value.error.problem == "unknown_agent"
    assert {} == alice.peers


async def test_registered_but_absent_peer_is_told_at_once(host: Host, alice: Agent) -> None:
    """Likewise for one that was here."""
    bob = await host.open(host.make())
    await bob.close()
    async with asyncio.timeout(5.0):
        with pytest.raises(RemoteProblem):
            await alice.connect_to(bob.did)

    assert {} == alice.peers


async def test_refused_by_accept(host: Host, alice: Agent) -> None:
    """The application of the other side decides, by DID, and may take its time in a coroutine."""

    async def accept(did: str) -> bool:
        return did != alice.did

    bob = await host.open(host.make(direct=Direct(accept=accept)))  # type: ignore[arg-type]
    with pytest.raises(RemoteProblem) as refused:
        await alice.connect_to(bob.did)

    assert refused.value.error.problem == "refused"
    assert {} == bob.peers


async def test_peer_that_never_answers_ends_with_the_phase(host: Host) -> None:
    """Without an answer the attempt ends at its deadline, and the error says how far it got."""
    alice = await host.open(host.make(direct=Direct(connect_seconds=1.0)))
    bob = await host.open(host.make(direct=by_hand()))
    with pytest.raises(ConnectionFailed) as failed:
        await alice.connect_to(bob.did)

    assert failed.value.phase == "offering"
    assert {} == alice.peers
    assert ["connection_failed"] == [each.event for each in alice.incidents()]


async def test_caller_that_waits_no_longer_gets_the_phase(host: Host, alice: Agent) -> None:
    """The time-out of the call counts, too."""
    bob = await host.open(host.make(direct=by_hand()))
    with pytest.raises(ConnectionFailed) as failed:
        await alice.connect_to(bob.did, timeout=0.5)

    assert failed.value.phase == "offering"


async def test_answerer_gives_up_when_nothing_comes(host: Host) -> None:
    """An offer that leads nowhere is forgotten by the other side as well."""
    alice = await host.open(host.make(direct=by_hand()))
    bob = await host.open(host.make(direct=Direct(connect_seconds=1.0)))
    template = await host.open(host.make(direct=by_hand()))
    offers: asyncio.Queue[Any] = asyncio.Queue()

    @template.on("OFFER")
    async def keep(delivery: Delivery) -> None:
        offers.put_nowait(delivery.body)

    carol = await host.open(host.make(direct=Direct(connect_seconds=1.0)))
    with pytest.raises(ConnectionFailed):
        await carol.connect_to(template.did)
    offer = await offers.get()
    noted = incidents_of(bob)
    await alice.signal(bob.did, Offer(sdp=offer.sdp, session="nowhere"))
    await noted.wait_for("connection_failed")

    assert {} == bob.peers


async def test_direct_may_be_switched_off(host: Host, alice: Agent) -> None:
    """Then offers, answers and farewells go to the handlers of the application, as ever."""
    bob = host.make(direct=by_hand())
    heard = listening(bob, "OFFER")
    await host.open(bob)
    await alice.signal(bob.did, Offer(sdp="v=0", session="s"))
    offer = (await heard.next()).body

    assert isinstance(offer, Offer)
    assert {} == bob.peers


async def test_handler_of_the_application_goes_first(host: Host, alice: Agent) -> None:
    """Whoever handles OFFER itself gets it, even with direct connections switched on."""
    bob = host.make()
    heard = listening(bob, "OFFER")
    await host.open(bob)
    await alice.signal(bob.did, Offer(sdp="v=0", session="s"))

    assert isinstance((await heard.next()).body, Offer)


async def test_leaving_is_told(host: Host, alice: Agent) -> None:
    """Closing a peer ends the connection for both; an agent that closes leaves all its peers."""
    bob = await host.open(host.make())
    peer, mirror = await connected(alice, bob)
    states = Told()
    mirror.on_state(states)
    await peer.close()
    await states.wait_for(ConnectionState.CLOSED)

    assert ({}, {}) == (alice.peers, bob.peers)
    peer, mirror = await connected(alice, bob)
    states = Told()
    peer.on_state(states)
    await bob.close()
    await states.wait_for(ConnectionState.CLOSED)
    assert {} == alice.peers


async def test_agent_is_no_peer_of_its_own(alice: Agent) -> None:
    """Whoever connects to itself is told so."""
    with pytest.raises(Refused):
        await alice.connect_to(alice.did)


async def test_mail_takes_the_direct_road(alice: Agent, host: Host) -> None:
    """What is sent while connected goes through the channel, and says so."""
    bob = host.make()
    heard = listening(bob)
    await host.open(bob)
    await connected(alice, bob)
    sent = await alice.send(bob.did, "hello")

    assert (await heard.next()).content == "hello"
    assert sent.road == "direct"


async def test_peers_are_bounded(host: Host) -> None:
    """So many peers and no more; the offerer is told why."""
    alice = await host.open(host.make(direct=Direct(peers_max=1)))
    bob, carol = await host.open(host.make()), await host.open(host.make())
    await connected(alice, bob)
    with pytest.raises(TooManyConnections):
        await alice.connect_to(carol.did)
    with pytest.raises(RemoteProblem) as refused:
        await carol.connect_to(alice.did)

    assert refused.value.error.problem == "too_many_connections"


async def test_replacing_keeps_the_peer(alice: Agent, bob: Agent) -> None:
    """Another session takes the place of the first, the state never leaves connected, nothing is lost."""
    peer, mirror = await connected(alice, bob)
    states, before = Told(), peer.session
    peer.on_state(states)
    heard = Heard()
    bob.on("MESSAGE")(heard.handle)

    async def talk() -> None:
        for number in range(100):
            await alice.send(bob.did, number)

    talking = asyncio.create_task(talk())
    await peer.replace()
    await mirror.replace()
    await talking

    assert list(range(100)) == await heard.contents(100)
    assert [] == states.facts
    assert before != peer.session == mirror.session


async def test_lost_connection_heals_by_itself(alice: Agent, bob: Agent) -> None:
    """The stack's connection breaks: the peer is disconnected, then connected again in another session."""
    peer, mirror = await connected(alice, bob)
    states, notes, before = Told(), incidents_of(alice), peer.session
    peer.on_state(states)
    await stack_of(peer).close()
    await states.wait_for(ConnectionState.CONNECTED)

    assert [ConnectionState.DISCONNECTED, ConnectionState.CONNECTED] == states.facts
    assert before != peer.session
    await notes.wait_for("relay_fallback", "direct_restored")
    async with asyncio.timeout(SECONDS):
        await mirror.wait_connected()
    assert ConnectionState.CONNECTED == mirror.state


async def test_silent_peer_is_noticed_and_comes_back(host: Host, platform: Platform, tmp_path: Path) -> None:
    """
    The other side stops answering though nothing breaks, and answers again.

    The relay is the road meanwhile, ICE counts as disconnected, and the same session goes on afterwards.
    """
    alice = await host.open(host.make(direct=Direct(heartbeat_seconds=0.2, dead_seconds=0.6, heal_first_seconds=60.0)))
    spec = Spec(label="bob", folder=str(tmp_path), url=platform.endpoints().nats)
    async with AgentProcess(spec) as bob:
        peer = await alice.connect_to(spec.identity.did)
        states, ice, before = Told(), Told(), peer.session
        peer.on_state(states)
        peer.on_ice_state(ice)
        bob.freeze()
        await states.wait_for(ConnectionState.DISCONNECTED)
        road = peer.road
        bob.thaw()
        await states.wait_for(ConnectionState.CONNECTED)

        assert "relay" == road
        assert [IceState.DISCONNECTED, IceState.COMPLETED] == ice.facts
        assert before == peer.session
        assert ["relay_fallback", "direct_restored"] == [each.event for each in reversed(alice.incidents())]


async def test_killed_peer_is_tried_again_until_it_is_back(host: Host, platform: Platform, tmp_path: Path) -> None:
    """The other process dies and another one of the same identity comes: the peer heals into it."""
    settings = Direct(heartbeat_seconds=0.2, dead_seconds=0.6, heal_first_seconds=0.2, heal_max_seconds=0.5)
    alice = await host.open(host.make(direct=settings))
    spec = Spec(label="bob", folder=str(tmp_path), url=platform.endpoints().nats)
    states = Told()
    async with AgentProcess(spec) as bob:
        peer = await alice.connect_to(spec.identity.did)
        peer.on_state(states)
        before = peer.session
        await bob.kill()
        await states.wait_for(ConnectionState.DISCONNECTED)
    async with AgentProcess(spec):
        await states.wait_for(ConnectionState.CONNECTED)

        assert [ConnectionState.DISCONNECTED, ConnectionState.CONNECTED] == states.facts
        assert before != peer.session


async def test_healing_ends_where_it_is_refused(host: Host, platform: Platform, tmp_path: Path) -> None:
    """The peer comes back and does not accept us any more: nobody goes on trying."""
    settings = Direct(heartbeat_seconds=0.2, dead_seconds=0.6, heal_first_seconds=0.2, heal_max_seconds=0.5)
    alice = await host.open(host.make(direct=settings))
    spec = Spec(label="bob", folder=str(tmp_path), url=platform.endpoints().nats)
    states = Told()
    async with AgentProcess(spec) as bob:
        peer = await alice.connect_to(spec.identity.did)
        peer.on_state(states)
        await bob.kill()
    await host.open(host.make("nats", "bob", direct=Direct(accept=lambda did: False)))
    await states.wait_for(ConnectionState.FAILED)

    assert [ConnectionState.DISCONNECTED, ConnectionState.FAILED] == states.facts
    assert {} == alice.peers


async def test_both_ends_heal_into_one_session(host: Host) -> None:
    """Both notice the loss and both offer at once: one session comes of it."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    for _ in range(5):
        peer, mirror = await connected(alice, bob)
        states, reflections = Told(), Told()
        peer.on_state(states)
        mirror.on_state(reflections)
        await asyncio.gather(stack_of(peer).close(), stack_of(mirror).close())
        await states.wait_for(ConnectionState.CONNECTED)
        await reflections.wait_for(ConnectionState.CONNECTED)
    await settled(alice)
    await settled(bob)

    assert alice.peers[bob.did].session == bob.peers[alice.did].session


async def test_rotation_replaces_keys_and_kills_the_old_ones(alice: Agent, bob: Agent) -> None:
    """Every session gets fresh certificates on both ends; the old connection carries nothing any more."""
    peer, mirror = await connected(alice, bob)
    old, old_session = stack_of(peer), peer.session
    old_keys = fingerprints(old.localDescription.sdp) | fingerprints(old.remoteDescription.sdp)
    report = await alice.rotate_keys()
    new = stack_of(peer)

    assert [(bob.did, old_session, peer.session, None)] == [
        (each.did, each.before, each.after, each.problem) for each in report
    ]
    assert peer.session == mirror.session != old_session
    assert set() == old_keys & (fingerprints(new.localDescription.sdp) | fingerprints(new.remoteDescription.sdp))
    assert "closed" == old.connectionState
    transport = old.sctp.transport if old.sctp is not None else None
    assert transport is not None
    assert "closed" == transport.state
    with pytest.raises(ConnectionError):
        await transport.transport._send(b"with the old keys")
    assert 1 == len(bob.incidents(event="key_rotated"))


async def test_emergency_closes_what_cannot_be_replaced(host: Host, alice: Agent) -> None:
    """The report says of each peer what became of it; no old key lives on."""
    bob, carol = await host.open(host.make()), await host.open(host.make())
    await connected(alice, bob)
    peer, _ = await connected(alice, carol)
    old = stack_of(peer)
    carol.on("OFFER")(Heard().handle)  # answers no offer any more
    alice_quick = alice.rotate_keys(emergency=True)
    report = {each.did: each for each in await alice_quick}

    assert report[bob.did].problem is None
    assert report[carol.did].problem is not None
    assert report[carol.did].closed
    assert "closed" == old.connectionState
    assert [bob.did] == list(alice.peers)


async def test_keys_rotate_by_their_age(host: Host) -> None:
    """After the time that the settings say, a fresh session takes over by itself."""
    settings = Direct(rotate_seconds=0.5)
    alice, bob = await host.open(host.make(direct=settings)), await host.open(host.make())
    noted = incidents_of(bob)
    peer, _ = await connected(alice, bob)
    before = peer.session
    await noted.wait_for("key_rotated")

    assert before != peer.session


def fingerprints(text: str) -> set[str]:
    """Those of a description."""
    return {line for line in text.splitlines() if line.startswith("a=fingerprint")}


async def test_many_peers_at_once(host: Host) -> None:
    """One agent has fifty connections that all work."""
    alice = await host.open(host.make())
    others = await asyncio.gather(*(host.open(host.make()) for _ in range(MANY)))
    peers = await asyncio.gather(*(alice.connect_to(other.did, timeout=60.0) for other in others))

    assert {ConnectionState.CONNECTED} == {peer.state for peer in peers}
    assert MANY == len({peer.session for peer in peers}) == len(alice.peers)


async def test_sessions_leave_nothing_behind(alice: Agent, host: Host) -> None:
    """Many sessions one after the other: tasks and descriptors are what they were."""
    bob = await host.open(host.make())
    peer, _ = await connected(alice, bob)
    await peer.close()
    before, descriptors = tasks_now(), descriptors_now()
    for _ in range(SESSIONS):
        left = peers_of(bob)
        peer, mirror = await connected(alice, bob)
        await peer.replace()
        gone = Told()
        mirror.on_state(gone)
        await peer.close()
        await gone.wait_for(ConnectionState.CLOSED)
        assert len(left.facts) <= 1
    await settled(alice)
    await settled(bob)

    assert set() == tasks_now() - before
    assert descriptors_now() <= descriptors


def tasks_now() -> set[str]:
    """What runs in this loop, by what it is."""
    return {f"{task.get_name()}: {task.get_coro()}" for task in asyncio.all_tasks()}


def descriptors_now() -> int:
    """Files and sockets that this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def settled(agent: Agent) -> None:
    """Wait until what is left of connections is closed."""
    assert agent._engine is not None
    peers = await agent._engine.door.peers()
    async with asyncio.timeout(SECONDS):
        await peers.local.graves.wait()
