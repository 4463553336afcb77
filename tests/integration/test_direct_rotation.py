"""Direct connections in place of others: replaced, and with fresh keys."""

import asyncio

import pytest
from tests.integration.direct_agents import Told, connected, incidents_of, stack_of
from tests.integration.sdk_agents import Heard, Host

from aiconexus.sdk import Agent, Direct

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
