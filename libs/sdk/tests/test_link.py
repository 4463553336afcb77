"""Connections to somebody who is not what it should be."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from libs.sdk.tests.wire import SECONDS, Wire, sealed, serving

from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import (
    Error,
    Message,
    Pong,
    Presence,
    Receipt,
    ReceiptItem,
    ReceiptStatus,
    Revoked,
    Takeover,
)
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.errors import ForeignSender, KeyRevoked, Refused, RemoteProblem, TakenOver
from aiconexus.sdk import Agent, AgentState, Identity

BOB = new_key().did


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """The other end."""
    async with serving(Wire()) as wire:
        yield wire


async def test_register_proves_the_key_to_this_edge(wire: Wire) -> None:
    """REGISTER repeats the nonce and says what the agent can do and read."""
    agent = Agent(Identity.generate(), wire.url, name="alice", capabilities=["a"])
    agent.capability("b")(print)
    async with agent:
        body = await wire.registered.get()

    assert ("nonce", "alice", ("a", "b"), (1, 2)) == (body.challenge, body.name, body.capabilities, body.codecs)


async def test_capability_that_is_defined_later_is_told_at_once(wire: Wire) -> None:
    """What an agent learns while it is online is registered without waiting for the renewal, in one REGISTER."""
    async with Agent(Identity.generate(), wire.url) as agent:
        await wire.registered.get()
        agent.capability("a")(print)
        agent.capability("b")(print)
        async with asyncio.timeout(SECONDS):
            body = await wire.registered.get()

    assert (None, ("a", "b")) == (body.challenge, body.capabilities)
    assert wire.registered.empty()


async def test_edge_that_the_platform_does_not_name_gets_no_signature(wire: Wire) -> None:
    """Whoever passes on somebody else's PLATFORM is not believed."""
    wire.challenger = new_key()
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    agent = Agent(Identity.generate(), wire.url)
    agent.on_error(errors.put_nowait)
    await agent.start()
    async with asyncio.timeout(SECONDS):
        error = await errors.get()
    await agent.close()

    assert isinstance(error, ForeignSender)
    assert wire.registered.empty()


async def test_platform_that_changed_is_refused_for_good(wire: Wire) -> None:
    """After a loss, an agent comes back to its platform or to none."""
    agent = Agent(Identity.generate(), wire.url)
    async with agent:
        wire.identity = new_key()
        wire.drops = 1
        with pytest.raises((NotAcknowledged, Refused)):
            await agent.send(BOB, "hello", timeout=SECONDS)
        with pytest.raises(Refused, match="we trust"):
            await agent.wait_closed()

    assert agent.state is AgentState.CLOSED


async def test_lost_answer_is_asked_for_with_the_same_envelope(wire: Wire) -> None:
    """Bytes and id of the second try are those of the first."""
    wire.drops = 1
    async with Agent(Identity.generate(), wire.url) as agent:
        sent = await agent.send(BOB, "hello")
        first, second = await wire.next_submitted(), await wire.next_submitted()

    assert first.sealed == second.sealed
    assert sent.id == first.envelope.id
    assert wire.connections == 2


@pytest.mark.parametrize("forger", [new_key(), None], ids=["a stranger", "another service"])
async def test_forged_answer_is_none(wire: Wire, forger: object) -> None:
    """Only the relay can say that something is stored."""
    wire.storer = forger or wire.edge  # type: ignore[assignment]
    async with Agent(Identity.generate(), wire.url) as agent:
        sent = await agent.send(BOB, "hello", timeout=0)
        await wire.next_submitted("MESSAGE")
        with pytest.raises(NotAcknowledged):
            await sent.wait_stored(0.3)


async def test_foreign_receipt_ends_nothing(wire: Wire) -> None:
    """Only the recipient can say that it has processed an envelope, and only the relay that it expired."""
    mallory, identity = new_key(), Identity.generate()
    async with Agent(identity, wire.url) as agent:
        sent = await agent.send(BOB, "hello")
        forged = ReceiptItem(id=sent.id, status=ReceiptStatus.PROCESSED)
        await wire.push(sealed(mallory, Receipt(items=(forged,)), identity.did), 1, 0)
        await wire.push(sealed(wire.relay, Receipt(items=(forged,)), identity.did), 2, 1)
        await wire.acked_up_to(2)
        processed = sent.is_processed
        honest = ReceiptItem(id=sent.id, status=ReceiptStatus.EXPIRED)
        await wire.push(sealed(wire.relay, Receipt(items=(honest,)), identity.did), 3, 2)

        with pytest.raises(RemoteProblem, match="expired"):
            await sent.wait_processed(SECONDS)
    assert not processed


async def test_silent_edge_is_left(wire: Wire) -> None:
    """A connection on which PING stays without answer is replaced."""
    wire.heartbeat_seconds = 0.05
    agent = Agent(Identity.generate(), wire.url)
    online: asyncio.Queue[AgentState] = asyncio.Queue()
    agent.on_state(online.put_nowait)
    async with asyncio.timeout(SECONDS), agent:
        states = [await online.get() for _ in range(5)]

    connect = [AgentState.CONNECTING, AgentState.ONLINE]
    assert [*connect, AgentState.OFFLINE, *connect] == states


async def test_news_counts_only_from_identity(wire: Wire) -> None:
    """Nobody else ends a session, and an old word does not either."""
    identity, mallory = Identity.generate(), new_key()
    async with Agent(identity, wire.url) as agent:
        for key in (mallory, wire.relay, wire.edge):
            await wire.say(sealed(key, Takeover(session="other"), identity.did))
            await wire.say(sealed(key, Revoked(did=identity.did, at_ms=1), identity.did))
        await wire.say(sealed(wire.identity, Takeover(session="other"), identity.did, now_ms=1_000_000))
        await wire.say(sealed(wire.identity, Takeover(session="other"), mallory.did))
        await wire.say(sealed(wire.identity, Takeover(session="s"), identity.did))
        await wire.say(b"\xc1 garbage")
        await agent.send(BOB, "still here")
        state = agent.state
        await wire.say(sealed(wire.identity, Takeover(session="other"), identity.did))
        async with asyncio.timeout(SECONDS):
            with pytest.raises(TakenOver):
                await agent.wait_closed()

    assert state is AgentState.ONLINE
    assert agent.state is AgentState.TAKEN_OVER


async def test_revocation_closes_for_good(wire: Wire) -> None:
    """An agent whose key is void does not come back."""
    identity = Identity.generate()
    async with Agent(identity, wire.url) as agent:
        await wire.say(sealed(wire.identity, Revoked(did=identity.did, at_ms=1), identity.did))
        async with asyncio.timeout(SECONDS):
            with pytest.raises(KeyRevoked):
                await agent.wait_closed()


async def test_foreign_presence_is_not_told(wire: Wire) -> None:
    """Watchers hear identity and nobody else."""
    async with Agent(Identity.generate(), wire.url) as agent:
        await agent.send(BOB, "hello")
        heard = Presence(did=BOB, online=True, at_ms=1)
        await wire.say(sealed(new_key(), heard, None))
        await wire.say(sealed(wire.relay, heard, None))
        await wire.say(sealed(new_key(), Pong(sequence=1), agent.did))
        await wire.say(sealed(new_key(), Message(content="live"), agent.did))
        await wire.say(sealed(new_key(), Error(code="X", message=""), agent.did))
        await agent.send(BOB, "still here")

    assert agent.dead_letters is not None
