import asyncio
from typing import Any

import pytest

from aiconexus.bus.session import Incoming
from aiconexus.bus.testing import new_key
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Error, Message, Ping, Policy, Receipt
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES
from aiconexus.protocol.seal import Codec, Sealed, split, unseal, wrap
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.context import Context
from aiconexus.runtime.testing import counted

from .world import Agent, World, contents

pytestmark = pytest.mark.usefixtures("relay")


@pytest.mark.parametrize("codec", list(Codec))
async def test_an_envelope_is_stored_and_pushed(ann: Agent, bob: Agent, codec: Codec) -> None:
    """The sender learns the place in the mailbox; the recipient gets the same bytes, and with them the place before."""
    heard = await bob.hear("msg")
    data = ann.mail(bob, codec=codec)
    first = await ann.submit(data)
    second = await ann.submit(ann.mail(bob))
    pushed, next_one = [await asyncio.wait_for(heard.get(), 5) for _ in range(2)]

    assert (first.status, first.duplicate) == ("stored", False)
    assert pushed.data == data
    assert (pushed.headers or {})["Nats-Sequence"] == str(first.sequence)
    assert (next_one.headers or {})["Nats-Last-Sequence"] == str(first.sequence)
    assert (second.sequence or 0) > (first.sequence or 0)


async def test_the_same_envelope_is_stored_once(ann: Agent, bob: Agent) -> None:
    """Whoever hands an envelope over again is told where it lies since the first time."""
    data = ann.mail(bob)
    first, again = await ann.submit(data), await ann.submit(data)

    assert (first.sequence, True) == (again.sequence, again.duplicate)
    assert contents(await bob.fetch()) == ["hello"]


async def test_an_answer_uses_the_codec_of_the_request(ann: Agent, bob: Agent) -> None:
    """A sender of JSON reads JSON: receipts and refusals."""
    stored = await ann.request("submit", ann.mail(bob, codec=Codec.JSON))
    refused = await ann.request("submit", ann.sealed(Ping(sequence=1), bob.did, codec=Codec.JSON))

    assert (stored.sealed.codec, refused.sealed.codec) == (Codec.JSON, Codec.JSON)
    assert isinstance(refused.body, Error)


async def test_one_receipt_answers_many(world: World, ann: Agent, bob: Agent) -> None:
    """What is handed over at once is answered in a few receipts, and each request gets one that names its envelope."""
    envelopes = [ann.mail(bob, number) for number in range(100)]
    signed = counted("aiconexus_relay_receipts_signed_total")
    subject = subjects.send(ann.key.token, "relay", "submit")
    answers = await asyncio.gather(*(world.edge.request(subject, data) for data in envelopes))
    named = [{item.id for item in unseal(answer.data).body.items} for answer in answers]  # type: ignore[attr-defined]
    ids = [unseal(data).envelope.id for data in envelopes]

    assert all(id_ in items for id_, items in zip(ids, named, strict=True))
    assert counted("aiconexus_relay_receipts_signed_total") - signed < 50
    assert contents(await bob.fetch()) == list(range(100))


def hostile(name: str, ann: Agent, bob: Agent) -> bytes:
    """What a hostile agent, Ann, hands over."""
    proper = ann.mail(bob)
    parts = split(proper)
    return {
        "foreign sender": bob.mail(ann),
        "replay by another": bob.mail(ann),
        "forged": wrap(Sealed(1, parts.payload, bytes(64))),
        "changed": wrap(Sealed(1, parts.payload.replace(b"hello", b"jello"), parts.signature)),
        "wrong codec": wrap(Sealed(2, parts.payload, parts.signature)),
        "oversized": b"x" * (ENVELOPE_MAX_BYTES + 1),
        "truncated": proper[:-70],
        "empty": b"",
        "deeply nested": b"\x91" * 60_000,
        "wrong body": wrap(Sealed(1, parts.payload.replace(b"\xa7content", b"\xa7cantent"), parts.signature)),
        "wrong type": ann.sealed(Ping(sequence=1), bob.did),
        "expired": ann.mail(bob, now_ms=1, expires_ms=2),
    }[name]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("foreign sender", "foreign_sender"),
        ("replay by another", "foreign_sender"),
        ("forged", "invalid_signature"),
        ("changed", "invalid_signature"),
        ("wrong codec", "malformed"),
        ("oversized", "too_large"),
        ("truncated", "malformed"),
        ("empty", "malformed"),
        ("deeply nested", "malformed"),
        ("wrong body", "malformed"),
        ("wrong type", "unsupported_type"),
        ("expired", "expired"),
    ],
)
async def test_hostile_envelopes_are_refused_and_counted(ann: Agent, bob: Agent, name: str, problem: str) -> None:
    """Each gets its problem, leaves nothing in a mailbox, and disturbs nobody."""
    before = counted("aiconexus_relay_envelopes_refused_total", problem=problem)
    refused = await ann.refused(hostile(name, ann, bob))
    await ann.submit(ann.mail(bob, "proper"))

    assert (refused.problem, refused.retryable) == (problem, False)
    assert counted("aiconexus_relay_envelopes_refused_total", problem=problem) - before == 1
    assert contents(await bob.fetch()) == ["proper"]


async def test_only_the_registered_send_and_receive(world: World, ann: Agent, bob: Agent) -> None:
    """Strangers, the revoked and the unlisted are refused by name."""
    stranger = Agent(world, new_key())
    revoked = await world.agent(revoked_ms=1)
    private = await world.agent(policy=Policy.LISTED, callers=(bob.did,))
    problems = [
        (await stranger.refused(stranger.mail(ann))).problem,
        (await ann.refused(ann.mail(stranger))).problem,
        (await revoked.refused(revoked.mail(ann))).problem,
        (await ann.refused(ann.mail(revoked))).problem,
        (await ann.refused(ann.mail(private))).problem,
    ]

    assert problems == ["unknown_agent", "unknown_agent", "key_revoked", "unknown_agent", "refused"]
    assert (await bob.submit(bob.mail(private))).status == "stored"


async def test_who_has_just_registered_can_be_written_to(world: World, ann: Agent) -> None:
    """That somebody was unknown a moment ago is not remembered."""
    late = Agent(world, new_key())
    refused = await ann.refused(ann.mail(late))
    await world.enrol(late)

    assert refused.problem == "unknown_agent"
    assert (await ann.submit(ann.mail(late))).status == "stored"


async def test_nothing_of_a_sender_overtakes(world: World, ann: Agent, bob: Agent) -> None:
    """What has to wait for a record is stored before what came after it, although that one could pass at once."""
    carl = await world.agent()
    await ann.submit(ann.mail(bob, "warm"))
    subject = subjects.send(ann.key.token, "relay", "submit")
    order = [ann.mail(carl, "slow"), *(ann.mail(bob, number) for number in range(20))]
    answers = await asyncio.gather(*(world.edge.request(subject, data) for data in order))
    items = [item for answer in answers for item in unseal(answer.data).body.items]  # type: ignore[attr-defined]
    places = {item.id: item.sequence for item in items}
    sequences = [places[unseal(data).envelope.id] for data in order]

    assert sequences == sorted(sequences)


async def test_an_envelope_without_a_reply_subject_is_stored(world: World, ann: Agent, bob: Agent) -> None:
    """Nobody has to wait for the answer."""
    heard = await bob.hear("msg")
    await world.edge.publish(subjects.send(ann.key.token, "relay", "submit"), ann.mail(bob))

    assert isinstance(unseal((await asyncio.wait_for(heard.get(), 5)).data).body, Message)


async def test_headers_of_an_agent_reach_no_stream(world: World, ann: Agent, bob: Agent) -> None:
    """What an agent writes into headers (a roll-up would empty a mailbox) is dropped."""
    await ann.submit(ann.mail(bob, "kept"))
    headers = {"Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Msg-Id": "chosen"}
    subject = subjects.send(ann.key.token, "relay", "submit")
    await world.edge.request(subject, ann.mail(bob, "second"), headers=headers)

    assert contents(await bob.fetch()) == ["kept", "second"]


async def told(world: World, agent: Agent, data: bytes, count: int) -> list[Error | Receipt]:
    """The answers to so many requests at once; some may stay out."""
    answers: asyncio.Queue[Incoming] = asyncio.Queue()
    inbox = world.edge.new_inbox()
    await world.edge.subscribe(f"{inbox}.*", answers.put)
    subject = subjects.send(agent.key.token, "relay", "submit")
    for number in range(count):
        await world.edge.publish(subject, data, reply=f"{inbox}.{number}")
    await world.edge.barrier()
    await agent.request("ping", agent.sealed(Ping(sequence=1), world.relay_did))
    bodies: list[Any] = [unseal(answers.get_nowait().data).body for _ in range(answers.qsize())]
    return bodies


class TestLimits:
    """A relay with tight limits."""

    @pytest.fixture
    async def relay(self, world: World) -> Any:
        """Three envelopes in a mailbox, five at once from a sender."""
        async with world.relay(mailbox_max_envelopes=3, sender_rate_per_second=1, sender_burst=5) as context:
            yield context

    async def test_a_full_mailbox_refuses_the_new(
        self, relay: Context[RelaySettings], world: World, ann: Agent, bob: Agent
    ) -> None:
        """The sender learns when to come again; the reader makes room by acknowledging."""
        for number in range(3):
            await ann.submit(ann.mail(bob, number))
        full = await ann.refused(ann.mail(bob, "too much"))
        await bob.ack((await bob.fetch()).items[0].sequence)
        await ann.submit(ann.mail(bob, "fits"))

        assert (full.problem, full.retryable, full.retry_after_ms) == ("mailbox_full", True, 5_000)
        assert contents(await bob.fetch()) == [1, 2, "fits"]

    async def test_a_sender_that_is_too_fast_is_told_and_then_ignored(
        self, relay: Context[RelaySettings], world: World, ann: Agent, bob: Agent
    ) -> None:
        """Beyond the burst it learns when to come again; beyond a second burst there is no answer at all."""
        carl = await world.agent()
        bodies = await told(world, ann, b"garbage", 20)
        limited = [body for body in bodies if isinstance(body, Error) and body.problem == "rate_limited"]

        assert (len(bodies), len(limited)) == (10, 5)
        assert all(error.retryable and (error.retry_after_ms or 0) > 0 for error in limited)
        assert (await carl.submit(carl.mail(bob))).status == "stored"


class TestRecords:
    """A relay that believes its records for a short time."""

    @pytest.fixture
    async def relay(self, world: World) -> Any:
        """0.3 s."""
        async with world.relay(registry_cache_seconds=0.3, mailbox_max_envelopes=100_000) as context:
            yield context

    async def test_a_revocation_is_noticed(
        self, relay: Context[RelaySettings], world: World, ann: Agent, bob: Agent
    ) -> None:
        """A record counts for the time of the setting, also for somebody who sends all the time."""
        await ann.submit(ann.mail(bob))
        await world.enrol(ann, revoked_ms=1)
        async with asyncio.timeout(5):
            while isinstance(body := (await ann.request("submit", ann.mail(bob))).body, Receipt):
                pass

        assert isinstance(body, Error)
        assert body.problem == "key_revoked"
