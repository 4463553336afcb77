import asyncio
import os

import pytest

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import new_key
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Error, Fetch, Mail, Ping, Pong, Resolve
from aiconexus.protocol.edge_bodies import Attach, Attached
from aiconexus.protocol.limits import FRESHNESS_MS
from aiconexus.protocol.seal import Codec, Sealed, seal, split, unseal, wrap
from aiconexus.runtime.desk import Desk, Request
from aiconexus.runtime.testing import counted

from .world import Caller, World, error_in, opened

REQUESTS = "aiconexus_relay_requests_total"
REFUSED = "aiconexus_security_refusals_total"


@pytest.fixture
async def desk(world: World) -> Desk:
    """The open desk of relay, which answers FETCH of agents and ATTACH of edges."""
    desk = Desk(await world.context("relay"))
    desk.on(Fetch, _fetch)
    desk.on(Attach, _attach, by=("edge",))
    await desk.open()
    return desk


@pytest.mark.parametrize("codec", list(Codec), ids=str)
async def test_an_agent_is_answered_in_its_own_codec(world: World, desk: Desk, alice: Caller, codec: Codec) -> None:
    """The answer is signed by the service, addressed to the agent, and names the request."""
    request = world.sealed("alice", Fetch(after=7), "relay", codec=codec)

    letter = await alice.send("relay", "fetch", request)

    assert letter.body == Mail(pending=7)
    assert letter.sealed.codec == codec
    assert letter.envelope.sender == world.keys["relay"].did
    assert letter.envelope.recipient == alice.key.did
    assert letter.envelope.in_reply_to == unseal(request).envelope.id


async def test_the_desk_itself_answers_ping(desk: Desk, alice: Caller) -> None:
    """Every service is asked the same way whether it is there."""
    letter = await alice.ask("relay", Ping(sequence=41))

    assert letter.body == Pong(sequence=41)


async def test_a_request_is_counted_by_type_and_outcome(desk: Desk, alice: Caller) -> None:
    """With its duration."""
    before = counted(REQUESTS, type="FETCH", outcome="ok")
    timed = counted("aiconexus_relay_request_seconds_count", type="FETCH")

    await alice.ask("relay", Fetch())

    assert counted(REQUESTS, type="FETCH", outcome="ok") == before + 1
    assert counted("aiconexus_relay_request_seconds_count", type="FETCH") == timed + 1


async def test_replicas_share_the_requests(world: World, desk: Desk, alice: Caller) -> None:
    """Two desks of one service answer each request once between them."""
    second = Desk(await world.context("relay"))
    served = [0]

    async def count(_: Request[Fetch]) -> Mail:
        served[0] += 1
        return Mail()

    second.on(Fetch, count)
    await second.open()
    answers = await asyncio.gather(*(alice.ask("relay", Fetch()) for _ in range(50)))

    assert len(answers) == 50
    assert 0 < served[0] < 50


class TestRefusals:
    """What is not as it must be is refused with its problem, towards the agent that the subject names."""

    async def refused(self, alice: Caller, data: bytes, problem: str) -> Error:
        before = counted(REFUSED, problem=problem)
        letter = await alice.send("relay", "fetch", data)
        error = error_in(letter.body)
        assert letter.envelope.recipient == alice.key.did
        assert error.problem == problem
        assert counted(REFUSED, problem=problem) == before + 1
        return error

    async def test_bytes_that_are_no_envelope(self, desk: Desk, alice: Caller) -> None:
        """The sender learns it although nobody could read who it is."""
        error = await self.refused(alice, b"\x93nonsense", "malformed")

        assert error.code == "MALFORMED_MESSAGE"

    async def test_too_many_bytes(self, desk: Desk, alice: Caller) -> None:
        """More than an envelope may have."""
        await self.refused(alice, os.urandom(70_000), "too_large")

    async def test_an_unknown_version(self, world: World, desk: Desk, alice: Caller) -> None:
        """Said before anything else."""
        letter = unseal(world.sealed("alice", Fetch(), "relay"))
        payload = letter.sealed.payload.replace(b"\xa7version\x01", b"\xa7version\x02")
        sealed = wrap(Sealed(Codec.MSGPACK, payload, letter.sealed.signature))

        await self.refused(alice, sealed, "unsupported_version")

    async def test_a_forged_signature(self, world: World, desk: Desk, alice: Caller) -> None:
        """One bit is enough."""
        sealed = split(world.sealed("alice", Fetch(), "relay"))
        forged = sealed.signature[:-1] + bytes([sealed.signature[-1] ^ 1])

        await self.refused(alice, wrap(Sealed(sealed.codec, sealed.payload, forged)), "invalid_signature")

    async def test_somebody_else_as_the_sender(self, world: World, desk: Desk, alice: Caller) -> None:
        """Even if the envelope is genuine: the subject says who asks."""
        await self.refused(alice, world.sealed("mallory", Fetch(), "relay"), "foreign_sender")

    async def test_an_old_envelope(self, world: World, desk: Desk, alice: Caller) -> None:
        """Requests count for a minute."""
        old = world.sealed("alice", Fetch(), "relay", now_ms=now_ms() - FRESHNESS_MS - 1000)

        await self.refused(alice, old, "stale")

    async def test_a_replay(self, world: World, desk: Desk, alice: Caller) -> None:
        """The second time the same bytes are refused."""
        request = world.sealed("alice", Fetch(), "relay")
        await alice.send("relay", "fetch", request)

        await self.refused(alice, request, "replayed")

    async def test_another_addressee(self, world: World, desk: Desk, alice: Caller) -> None:
        """An envelope for identity cannot be used at relay."""
        letter = await alice.send("relay", "fetch", world.sealed("alice", Fetch(), "identity"))

        assert error_in(letter.body).problem == "refused"

    @pytest.mark.parametrize("verb", ["fetch", "register", "attach"])
    async def test_a_type_that_does_not_belong_there(self, world: World, desk: Desk, alice: Caller, verb: str) -> None:
        """A verb takes its own type, and what services ask is not for agents."""
        data = world.sealed("alice", Attach(session="s", edge="e", register=b""), "relay")

        letter = await alice.send("relay", verb, data)

        assert error_in(letter.body).problem == "unsupported_type"

    async def test_a_body_that_does_not_follow_its_type(self, world: World, desk: Desk, alice: Caller) -> None:
        """The schema counts behind a good signature, too."""
        letter = unseal(world.sealed("alice", Resolve(dids=(alice.key.did,)), "relay"))
        envelope = letter.envelope
        wrong = type(envelope)(
            version=1,
            id=new_id(),
            type="FETCH",
            sender=envelope.sender,
            recipient=envelope.recipient,
            created_ms=now_ms(),
            body=unseal(world.sealed("alice", _fetch_beyond(), "relay")).envelope.body,
        )

        error = await self.refused(alice, seal(wrong, alice.key), "malformed")

        assert "FETCH" in error.message

    async def test_a_subject_of_nobody_gets_no_answer(self, world: World, desk: Desk, alice: Caller) -> None:
        """Without a DID there is nobody to answer; the desk goes on."""
        before = counted(REQUESTS, type="unknown", outcome="invalid_did")
        await alice.session.publish(subjects.send("nobody", "relay", "fetch"), b"x", reply=alice.session.new_inbox())

        await alice.ask("relay", Ping(sequence=1))

        assert counted(REQUESTS, type="unknown", outcome="invalid_did") == before + 1


class TestServices:
    """Services ask under a subject of their own, and each may ask only what it was given."""

    async def ask(self, world: World, sender: str, session: Session, body: Body) -> Body:
        data = world.sealed(sender, body, "relay")
        incoming = await session.request(subjects.service("relay", body.TYPE.lower()), data)
        return opened(incoming).body

    async def test_a_service_that_may_ask_is_answered(self, world: World, desk: Desk) -> None:
        """The handler learns which service it is."""
        body = await self.ask(world, "edge", await world.session("edge"), Attach(session="s", edge="e", register=b"r"))

        assert body == Attached(answer=b"edge")

    async def test_another_service_is_refused(self, world: World, desk: Desk) -> None:
        """ATTACH is for edges."""
        body = await self.ask(
            world, "identity", await world.session("identity"), Attach(session="s", edge="e", register=b"r")
        )

        assert error_in(body).problem == "refused"

    async def test_what_agents_ask_is_not_for_services(self, world: World, desk: Desk) -> None:
        """The two tables are apart."""
        body = await self.ask(world, "edge", await world.session("edge"), Fetch())

        assert error_in(body).problem == "unsupported_type"

    async def test_a_stranger_among_the_services_gets_no_answer(self, world: World, desk: Desk, alice: Caller) -> None:
        """Whoever is not in the directory is counted and left alone."""
        before = counted(REFUSED, problem="foreign_sender")
        data = world.sealed("alice", Ping(sequence=1), "relay")
        await alice.session.publish(subjects.service("relay", "ping"), data, reply=alice.session.new_inbox())

        await self.ask(world, "edge", await world.session("edge"), Ping(sequence=2))

        assert counted(REFUSED, problem="foreign_sender") == before + 1


async def test_a_raw_verb_gets_what_arrives_unchecked(desk: Desk, alice: Caller) -> None:
    """For what is no envelope."""
    seen: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def note(incoming: Incoming) -> None:
        await seen.put((incoming.subject, incoming.data))

    desk.raw("platform", note)
    subject = subjects.send(alice.key.token, "relay", "platform")
    await alice.session.publish(subject, b"")
    async with asyncio.timeout(5):
        arrived = await seen.get()

    assert arrived == (subject, b"")


async def test_a_request_without_a_reply_subject_is_handled_all_the_same(desk: Desk, alice: Caller) -> None:
    """Nobody is answered, nothing fails."""
    before = counted(REQUESTS, type="unknown", outcome="malformed")
    await alice.session.publish(subjects.send(alice.key.token, "relay", "fetch"), b"x")
    await alice.ask("relay", Ping(sequence=1))

    assert counted(REQUESTS, type="unknown", outcome="malformed") == before + 1


async def test_an_agent_that_took_a_services_key_for_its_own_is_no_service(world: World, desk: Desk) -> None:
    """Under an agent's subject even a service is only an agent."""
    edge = Caller(world, await world.session("edge"), "edge")

    letter = await edge.ask("relay", Attach(session="s", edge="e", register=b""))

    assert error_in(letter.body).problem == "unsupported_type"


def test_a_request_tells_who_asks() -> None:
    """As DID and as subject token."""
    key, relay = new_key(), new_key()
    world = World()
    world.keys |= {"alice": key, "relay": relay}
    letter = unseal(world.sealed("alice", Fetch(), "relay"))

    request = Request(letter, Fetch(), incoming=_Nothing())

    assert (request.sender, request.token) == (key.did, key.token)
    assert request.envelope is letter.envelope


class _Nothing:
    subject = reply = ""
    data = b""
    headers = None


async def _fetch(request: Request[Fetch]) -> Mail:
    return Mail(pending=request.body.after)


async def _attach(request: Request[Attach]) -> Attached:
    return Attached(answer=str(request.asker).encode())


def _fetch_beyond() -> Fetch:
    return Fetch(limit=100_000)
