"""What registered agents say to services and to each other, on both subprotocols."""

import asyncio

import pytest

from aiconexus.bus.testing import new_key
from aiconexus.edge.testing import BINARY, TEXT, Place
from aiconexus.protocol import text
from aiconexus.protocol.bodies import (
    Ack,
    Acked,
    AgentCard,
    Discover,
    Error,
    Fetch,
    Mail,
    MailItem,
    Message,
    Ping,
    Pong,
    Presence,
    Receipt,
    ReceiptStatus,
    Resolve,
    Revoke,
    Revoked,
    Takeover,
    Unregister,
    Unregistered,
    Watch,
    Watching,
)
from aiconexus.protocol.bodies import (
    Agents as Listed,
)
from aiconexus.protocol.closing import Close
from aiconexus.protocol.seal import Codec, Sealed, split, unseal, wrap
from aiconexus.protocol.signal_bodies import Offer

from .world import Agents, Edge, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

both = pytest.mark.parametrize("protocol", [BINARY, TEXT])
pairs = pytest.mark.parametrize(
    ("sender", "recipient"), [(BINARY, BINARY), (BINARY, TEXT), (TEXT, BINARY), (TEXT, TEXT)]
)


@pairs
async def test_mail_is_stored_and_pushed(edge: Edge, agents: Agents, sender: str, recipient: str) -> None:
    """The sender gets a RECEIPT with the place, the recipient the very payload and signature, with that place."""
    alice, bob = await agents.agent(edge, sender), await agents.agent(edge, recipient)
    data = alice.sealed(Message(content="hello"), bob.did)
    receipt = (await alice.exchange(data)).body
    mail = await bob.next()

    assert isinstance(receipt, Receipt)
    assert ReceiptStatus.STORED == receipt.items[0].status
    assert split(data) == mail.sealed
    assert bob.place is not None
    assert (receipt.items[0].sequence, 0) == (bob.place.sequence, bob.place.previous)


@pairs
async def test_live_envelope_is_forwarded(edge: Edge, agents: Agents, sender: str, recipient: str) -> None:
    """What nobody stores reaches a connected agent unchanged, and is no mail."""
    alice, bob = await agents.agent(edge, sender), await agents.agent(edge, recipient)
    data = alice.sealed(Offer(sdp="v=0"), bob.did)
    receipt = (await alice.exchange(data)).body
    offer = await bob.next()

    assert isinstance(receipt, Receipt)
    assert ReceiptStatus.DELIVERED == receipt.items[0].status
    assert split(data) == offer.sealed
    assert bob.place is None or bob.place.sequence == 0


@both
async def test_mailbox_is_fetched_and_acknowledged(edge: Edge, agents: Agents, protocol: str) -> None:
    """FETCH and ACK reach the relay, and its answers come back in the codec of the question."""
    alice, bob = await agents.agent(edge), await agents.agent(edge, protocol)
    await alice.ask(Message(content=1), bob.did)
    await bob.next()
    letter = await bob.exchange(bob.sealed(Fetch(), bob.services["relay"]))
    assert isinstance(letter.body, Mail)
    acked = await bob.ask(Ack(upto=letter.body.items[-1].sequence), bob.services["relay"])
    left = await bob.ask(Fetch(), bob.services["relay"])

    assert (1, bob.codec) == (len(letter.body.items), letter.sealed.codec)
    assert isinstance(acked, Acked)
    assert isinstance(left, Mail)
    assert () == left.items


@both
async def test_every_service_answers_a_ping(edge: Edge, agents: Agents, protocol: str) -> None:
    """PONG echoes the sequence, signed by who was asked."""
    agent = await agents.agent(edge, protocol)
    asked = [agent.services[name] for name in ("identity", "relay", "edge")]
    letters = [await agent.exchange(agent.sealed(Ping(sequence=7), did)) for did in asked]

    assert [(Pong(sequence=7), did) for did in asked] == [(each.body, each.envelope.sender) for each in letters]


@both
async def test_discovery_finds_an_agent(edge: Edge, agents: Agents, protocol: str) -> None:
    """DISCOVER and RESOLVE are identity's to answer."""
    key = new_key()
    agent = await agents.agent(edge, protocol, key, {"capabilities": (f"c-{key.token[:20]}",)})
    found = await agent.ask(Discover(capability=f"c-{key.token[:20]}", online=True), agent.services["identity"])
    resolved = await agent.ask(Resolve(dids=(agent.did,)), agent.services["identity"])

    assert isinstance(found, Listed)
    assert isinstance(resolved, Listed)
    cards: tuple[AgentCard, ...] = found.agents
    assert [agent.did] == [card.did for card in cards]
    assert cards == resolved.agents


@both
async def test_watcher_is_told_who_comes_and_goes(edge: Edge, agents: Agents, protocol: str) -> None:
    """WATCH names agents, PRESENCE tells of them and of nobody else."""
    watcher, key = await agents.agent(edge, protocol), new_key()
    assert Watching(dids=(key.did,)) == await watcher.ask(Watch(dids=(key.did,)), watcher.services["edge"])
    await agents.agent(edge)
    agent = await agents.agent(edge, key=key)
    came = (await watcher.next()).body
    await agent.socket.close()
    went = (await watcher.next()).body

    assert isinstance(came, Presence)
    assert isinstance(went, Presence)
    assert [(key.did, True), (key.did, False)] == [(news.did, news.online) for news in (came, went)]


async def test_watcher_of_everybody_hears_all(edge: Edge, agents: Agents) -> None:
    """An empty WATCH means everybody, until another one replaces it."""
    watcher, other = await agents.agent(edge), new_key()
    await watcher.ask(Watch(), watcher.services["edge"])
    agent = await agents.agent(edge)
    heard = (await watcher.until("PRESENCE")).body
    while isinstance(heard, Presence) and heard.did != agent.did:
        heard = (await watcher.next()).body
    await watcher.say(Watch(dids=(other.did,)), watcher.services["edge"])
    await watcher.until("WATCHING")
    await agents.agent(edge)
    await watcher.say(Ping(sequence=1), watcher.services["edge"])

    assert isinstance(heard, Presence)
    assert Pong(sequence=1) == (await watcher.next()).body


@pytest.mark.parametrize("service", ["identity", "edge"])
@both
async def test_unregister_is_answered_and_closes(edge: Edge, agents: Agents, protocol: str, service: str) -> None:
    """Whoever is asked to forget an agent says so, and by then it is offline for everybody."""
    agent, other = await agents.agent(edge, protocol), await agents.agent(edge)
    await agent.say(Unregister(reason="done"), agent.services[service])
    letter = await agent.until("UNREGISTERED")
    resolved = await other.ask(Resolve(dids=(agent.did,)), other.services["identity"])

    assert (Unregistered(reason="done"), agent.services[service]) == (letter.body, letter.envelope.sender)
    assert isinstance(resolved, Listed)
    assert [False] == [card.online for card in resolved.agents]
    assert Close.NORMAL == (await agent.ending())[0]


@both
async def test_revoked_key_is_shown_out_for_good(edge: Edge, agents: Agents, protocol: str) -> None:
    """After REVOKE the connection closes with the code to give up, and the key gets in no more."""
    agent = await agents.agent(edge, protocol)
    assert isinstance(await agent.ask(Revoke(), agent.services["identity"]), Revoked)
    assert Close.REFUSED == (await agent.ending())[0]
    again = await agents.stranger(edge, protocol, agent.key)
    answer = await again.exchange(again.registration())

    assert isinstance(answer.body, Error)
    assert ("key_revoked", again.services["identity"]) == (answer.body.problem, answer.envelope.sender)
    assert Close.REFUSED == (await again.ending())[0]


@pytest.mark.parametrize("first", [BINARY, TEXT])
async def test_newer_session_takes_over(edge: Edge, agents: Agents, first: str) -> None:
    """One agent has one live connection: the one that registered last."""
    old = await agents.agent(edge, first)
    new = await agents.agent(edge, key=old.key)
    code, _ = await old.ending()

    assert Close.TAKEN_OVER == code
    assert Pong(sequence=1) == await new.ask(Ping(sequence=1), new.services["edge"])


async def test_newer_session_takes_over_on_another_edge(world: World, edge: Edge, agents: Agents) -> None:
    """Edges agree on which connection is the live one, through identity."""
    old = await agents.agent(edge)
    async with world.edge() as other:
        new = await agents.agent(other, key=old.key)
        code, _ = await old.ending()

        assert Close.TAKEN_OVER == code
        assert Pong(sequence=1) == await new.ask(Ping(sequence=1), new.services["edge"])


async def test_agents_on_different_edges_reach_each_other(world: World, edge: Edge, agents: Agents) -> None:
    """An edge knows nothing that another one does not."""
    async with world.edge() as other:
        alice, bob = await agents.agent(edge), await agents.agent(other, TEXT)
        await alice.say(Message(content=[1]), bob.did)
        await bob.say(Offer(sdp="x"), alice.did)

        assert Message(content=[1]) == (await bob.until("MESSAGE")).body
        assert Offer(sdp="x") == (await alice.until("OFFER")).body


async def test_foreign_sender_is_refused(edge: Edge, agents: Agents) -> None:
    """The connection's DID is the only sender on it, and the connection goes on."""
    agent, other = await agents.agent(edge), new_key()
    answer = await agent.ask(Message(content=1), agent.did, key=other)

    assert isinstance(answer, Error)
    assert "foreign_sender" == answer.problem
    assert Pong(sequence=1) == await agent.ask(Ping(sequence=1), agent.services["edge"])


@pytest.mark.parametrize(
    ("body", "service"),
    [(Takeover(session="x"), None), (Message(content=1), "relay"), (Fetch(), "edge"), (Watch(), "identity")],
    ids=["takeover to an agent", "message to relay", "fetch to edge", "watch to identity"],
)
async def test_wrong_addressee_is_refused(edge: Edge, agents: Agents, body: Message, service: str | None) -> None:
    """A type that its addressee does not understand goes nowhere."""
    agent = await agents.agent(edge)
    answer = await agent.ask(body, agent.services[service] if service else new_key().did)

    assert isinstance(answer, Error)
    assert "unsupported_type" == answer.problem


async def test_place_in_a_mailbox_cannot_be_made_up(edge: Edge, agents: Agents) -> None:
    """Elements behind the signature come from the edge only: those of a sender are dropped on the way."""
    alice, bob = await agents.agent(edge), await agents.agent(edge)
    sealed = split(alice.sealed(Offer(sdp="x"), bob.did))
    forged = wrap(sealed).replace(b"\x93", b"\x95", 1) + b"\xcd\xff\xff\xcd\xff\xfe"
    await alice.socket.send_bytes(forged)
    offer = await bob.next()

    assert sealed == offer.sealed
    assert bob.place is None


async def test_replayed_ping_is_refused(edge: Edge, agents: Agents) -> None:
    """What the edge handles itself counts once."""
    agent = await agents.agent(edge)
    ping = agent.sealed(Ping(sequence=1), agent.services["edge"])
    await agent.exchange(ping)
    answer = (await agent.exchange(ping)).body

    assert isinstance(answer, Error)
    assert "replayed" == answer.problem


async def test_tampered_frame_is_refused(edge: Edge, agents: Agents) -> None:
    """A signature that does not fit is refused by whoever handles the frame."""
    agent = await agents.agent(edge)
    answers = []
    for number, service in enumerate(("edge", "relay")):
        sealed = split(agent.sealed(Ping(sequence=number), agent.services[service]))
        broken = bytes((sealed.signature[0] ^ 1,)) + sealed.signature[1:]
        answers.append((await agent.exchange(wrap(Sealed(sealed.codec, sealed.payload, broken)))).body)

    assert ["invalid_signature"] * 2 == [answer.problem for answer in answers if isinstance(answer, Error)]


async def test_batched_receipt_arrives_once(edge: Edge, agents: Agents) -> None:
    """Every envelope of a burst is accounted for, and no RECEIPT is handed over twice."""
    alice, bob = await agents.agent(edge), await agents.agent(edge)
    sent = {f"burst-{number}" for number in range(200)}
    for id_ in sorted(sent):
        await alice.say(Message(content=1), bob.did, id_=id_)
    stored: list[str] = []
    seen: list[str] = []
    while len(stored) < len(sent):
        letter = await alice.until("RECEIPT")
        assert isinstance(letter.body, Receipt)
        seen.append(letter.envelope.id)
        stored += [item.id for item in letter.body.items]

    assert (sent, len(sent)) == (set(stored), len(stored))
    assert len(seen) == len(set(seen))


async def test_order_of_one_sender_is_kept(edge: Edge, agents: Agents) -> None:
    """What one agent sends arrives in that order, each with the sequence before it."""
    alice, bob = await agents.agent(edge), await agents.agent(edge)
    for number in range(50):
        await alice.say(Message(content=number), bob.did)
    heard, previous = [], 0
    for _ in range(50):
        letter = await bob.next()
        assert isinstance(letter.body, Message)
        assert isinstance(bob.place, Place)
        assert previous == bob.place.previous
        heard.append(letter.body.content)
        previous = bob.place.sequence or 0

    assert list(range(50)) == heard


async def test_unknown_recipient_is_reported(edge: Edge, agents: Agents) -> None:
    """The relay's ERROR reaches the sender as the relay signed it."""
    agent = await agents.agent(edge)
    letter = await agent.exchange(agent.sealed(Message(content=1), new_key().did))

    assert isinstance(letter.body, Error)
    assert ("unknown_agent", agent.services["relay"]) == (letter.body.problem, letter.envelope.sender)


async def test_json_reader_gets_binary_mail_in_the_opaque_form(edge: Edge, agents: Agents) -> None:
    """A reader of JSON gets codec, payload and signature of what is not JSON, and can verify them."""
    alice, bob = await agents.agent(edge, BINARY), await agents.agent(edge, TEXT)
    await alice.say(Message(content=1), bob.did)
    async with asyncio.timeout(10):
        message = await bob.socket.receive()
    _, signature, item = text.parts_of(message.data)

    assert isinstance(item, MailItem)
    assert (b"", Codec.MSGPACK) == (signature, item.codec)
    assert Message(content=1) == unseal(Sealed(item.codec, item.payload, item.signature)).body


async def test_one_of_many_simultaneous_sessions_stays(world: World, agents: Agents) -> None:
    """However many connections of one key register at once, on two edges: one is left, and it works."""
    async with world.edge() as one, world.edge() as two:
        key = new_key()
        rivals = [await agents.stranger((one, two)[number % 2], key=key) for number in range(10)]
        await asyncio.gather(*(rival.send(rival.registration()) for rival in rivals))
        endings = [asyncio.create_task(rival.ending()) for rival in rivals]
        async with asyncio.timeout(10):
            while sum(each.done() for each in endings) < len(rivals) - 1:
                await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED, timeout=0.1)
        left = next(rival for rival, each in zip(rivals, endings, strict=True) if not each.done())
        codes = {each.result()[0] for each in endings if each.done()}
        ending = endings[rivals.index(left)]
        ending.cancel()
        await asyncio.wait({ending})

        # Its own REGISTERED may still be on the way.
        await left.say(Ping(sequence=1), left.services["edge"])
        assert {Close.TAKEN_OVER} == codes
        assert Pong(sequence=1) == (await left.until("PONG")).body


async def test_requests_beyond_the_bound_wait_and_all_are_answered(world: World, agents: Agents) -> None:
    """An edge that may ask one thing at a time for a connection reads on when it is answered."""
    async with world.edge(requests_max=1) as edge:
        agent = await agents.agent(edge)
        for number in range(50):
            await agent.say(Ping(sequence=number), agent.services["relay"])
        answers = [(await agent.next()).body for _ in range(50)]

        assert [Pong(sequence=number) for number in range(50)] == answers
