"""Direct connections between agents of the SDK: how they come about, and end."""

import asyncio
from typing import Any

import pytest
from tests.integration.direct_agents import Told, connected, incidents_of
from tests.integration.peers_by_hand import by_hand
from tests.integration.sdk_agents import PAIRS, Host, gone, listening

from aiconexus.protocol.direct_errors import ConnectionFailed
from aiconexus.protocol.errors import Refused, RemoteProblem, TooManyConnections
from aiconexus.protocol.signal_bodies import Offer
from aiconexus.sdk import Agent, Delivery, Direct, Identity
from aiconexus.sdk.direct.states import ConnectionState, IceState

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
    await gone(bob, alice)
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
    bob = host.make(direct=by_hand())
    listening(bob, "OFFER")
    await host.open(bob)
    with pytest.raises(ConnectionFailed) as failed:
        await alice.connect_to(bob.did)

    assert failed.value.phase == "offering"
    assert {} == alice.peers
    assert ["connection_failed"] == [each.event for each in alice.incidents()]


async def test_caller_that_waits_no_longer_gets_the_phase(host: Host, alice: Agent) -> None:
    """The time-out of the call counts, too."""
    bob = host.make(direct=by_hand())
    listening(bob, "OFFER")
    await host.open(bob)
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


async def test_agent_without_direct_connections_says_so(host: Host, alice: Agent) -> None:
    """Where they are switched off and nobody handles offers, whoever offers hears it at once."""
    bob = await host.open(host.make(direct=by_hand()))
    with pytest.raises(RemoteProblem, match="opens no direct connections") as refused:
        await alice.connect_to(bob.did)

    assert "refused" == refused.value.error.problem
    assert {} == alice.peers


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
