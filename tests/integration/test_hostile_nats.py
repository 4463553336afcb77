"""Hostile agents on NATS: what the server forbids, what login refuses, and what a service's answer can be aimed at."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from tests.integration.forgeries import SMALL_ORDER, mail, resealed, spoofed
from tests.integration.measuring import Meter
from tests.integration.processes import PAUSE_MAX_SECONDS, Traffic
from tests.integration.strangers import NativeStranger, native, sealed

from aiconexus.bus.session import Session
from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Discover, Error, Fetch, Mail, Message, Ping, Receipt, Takeover
from aiconexus.protocol.errors import BusUnavailable
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.records import MAILBOX, REGISTRY
from aiconexus.protocol.seal import Codec, unseal

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("bystanders")]

VICTIM = "VICTIM"
"""Stands for the victim's token in a parameter."""

FOREIGN_PUBLISH = {
    "others' requests": subjects.send(VICTIM, "relay", "submit"),
    "others' live inbox": subjects.inbox_live(VICTIM),
    "others' mail": subjects.inbox_mail(VICTIM),
    "others' answers": subjects.inbox_replies(VICTIM) + ".x",
    "presence": subjects.presence(VICTIM),
    "mailbox": subjects.mailbox(VICTIM),
    "stored": f"aicx.v1.mbx.0.{VICTIM}",
    "service requests": subjects.service("identity", "attach"),
    "service answers": f"{subjects.service_inbox('relay')}.x.1",
    "registry": subjects.bucket_key(REGISTRY, VICTIM),
    "stream API": subjects.stream_api("PURGE", MAILBOX),
    "reads": subjects.direct_get(MAILBOX),
    "account information": "$JS.API.INFO",
    "servers": subjects.server_ping("CONNZ"),
    "logins": subjects.login_requests(),
}

FOREIGN_SUBSCRIBE = {
    "others' inbox": subjects.inbox_of(VICTIM),
    "all inboxes": subjects.all_inboxes(),
    "everything": ">",
    "everything, one level": "*",
    "all requests": subjects.all_sends(),
    "relay's requests": subjects.sends_to("relay"),
    "mailboxes": subjects.all_mailboxes(),
    "system": "$SYS.>",
    "stream API": "$JS.API.>",
    "answers": "_INBOX.>",
    "buckets": subjects.bucket_changes(REGISTRY),
    "logins": subjects.login_requests(),
}


AIMS = {"mail": subjects.inbox_mail, "live": subjects.inbox_live, "presence": subjects.presence}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(platform: Platform) -> AsyncIterator[NativeStranger]:
    """Somebody with an inbox."""
    async with native(platform.endpoints().nats) as stranger:
        yield stranger


@pytest_asyncio.fixture(loop_scope="module")
async def hostile(platform: Platform) -> AsyncIterator[NativeStranger]:
    """Somebody who registered like everybody else."""
    async with native(platform.endpoints().nats) as stranger:
        yield stranger


VIOLATIONS = "aiconexus_identity_bus_violations_total"


async def complaint(stranger: NativeStranger) -> str:
    """What the server has to say."""
    async with asyncio.timeout(5):
        return str(await stranger.complaints.get()).lower()


@pytest.mark.parametrize("subject", FOREIGN_PUBLISH.values(), ids=FOREIGN_PUBLISH)
async def test_foreign_subject_cannot_be_published(
    victim: NativeStranger, hostile: NativeStranger, meter: Meter, subject: str
) -> None:
    """Nothing but an agent's own requests leaves its connection, and who tries is counted."""
    before = await meter.count("identity", VIOLATIONS, kind="publish", account="AGENTS")
    heard = await victim.hear(subjects.inbox_of(victim.key.token))
    await hostile.session.publish(
        subject.replace(VICTIM, victim.key.token), b"hello", reply=hostile.session.new_inbox()
    )

    assert "permissions violation for publish" in await complaint(hostile)
    await victim.session.barrier()
    assert heard.empty()
    await meter.until("identity", VIOLATIONS, at_least=before + 1, kind="publish", account="AGENTS")


@pytest.mark.parametrize("subject", FOREIGN_SUBSCRIBE.values(), ids=FOREIGN_SUBSCRIBE)
async def test_foreign_subject_cannot_be_heard(
    victim: NativeStranger, hostile: NativeStranger, meter: Meter, subject: str
) -> None:
    """Nothing but an agent's own inbox, and presence, reaches its connection, and who tries is counted."""
    before = await meter.count("identity", VIOLATIONS, kind="subscription", account="AGENTS")
    heard = await hostile.hear(subject.replace(VICTIM, victim.key.token))

    assert "permissions violation for subscription" in await complaint(hostile)
    await victim.say(Message(content="private"), victim.key.did)
    assert heard.empty()
    await meter.until("identity", VIOLATIONS, at_least=before + 1, kind="subscription", account="AGENTS")


async def test_too_many_subscriptions_end_the_connection(hostile: NativeStranger, meter: Meter) -> None:
    """An agent has a bounded number of subscriptions."""
    inbox = subjects.inbox_replies(hostile.key.token)
    for number in range(70):
        await hostile.session.subscribe(f"{inbox}.{number}", _ignore)

    async with asyncio.timeout(5):
        await hostile.gone.wait()
    await meter.until("identity", VIOLATIONS, at_least=1, kind="subscriptions_max", account="AGENTS")


class Liar:
    """Claims a key and signs like nobody."""

    def __init__(self, public_key: bytes, signature: bytes) -> None:
        self.public_key = public_key
        self._signature = signature

    def sign(self, _: bytes) -> bytes:
        """The same signature for everything."""
        return self._signature


LIARS = {
    "forged": Liar(new_key().public_key, os.urandom(64)),
    "small order, trivial signature": Liar(SMALL_ORDER[1], SMALL_ORDER[1] + bytes(32)),
    "small order, zero": Liar(SMALL_ORDER[0], bytes(64)),
    "not on the curve": Liar(b"\xff" * 32, bytes(64)),
    "short signature": Liar(new_key().public_key, bytes(8)),
}


@pytest.mark.parametrize("liar", LIARS.values(), ids=LIARS)
async def test_login_without_the_key_is_refused(platform: Platform, meter: Meter, liar: Liar) -> None:
    """Nobody gets onto the bus whose signature over the server's nonce is not that of the key it names."""
    before = await meter.count("identity", "aiconexus_identity_logins_total", outcome="refused")
    with pytest.raises(BusUnavailable):
        await Session.connect(
            [platform.endpoints().nats],
            cast("SigningKey", liar),
            name="liar",
            inbox_prefix="aicx.v1.inbox.liar.r",
            forever=False,
        )

    assert before < await meter.count("identity", "aiconexus_identity_logins_total", outcome="refused")


@pytest.mark.parametrize(
    ("service", "verb"),
    [("identity", "attach"), ("identity", "detach"), ("relay", "nothing"), ("edge", "watch"), ("identity", "takeover")],
)
async def test_verb_that_is_not_for_agents_is_refused(hostile: NativeStranger, service: str, verb: str) -> None:
    """What services ask each other cannot be asked by an agent."""
    answer = await hostile.ask(service, verb, sealed(hostile.key, Takeover(session="x"), hostile.services[service]))

    assert isinstance(answer.body, Error)
    assert "unsupported_type" == answer.body.problem


@pytest.mark.parametrize("service", ["identity", "relay", "signaling", "edge"])
async def test_request_in_a_foreign_name_is_refused(
    victim: NativeStranger, hostile: NativeStranger, meter: Meter, service: str
) -> None:
    """A service answers only who is connected: neither another name, nor another's sealed request, replayed."""
    before = await meter.security("foreign_sender")
    own = sealed(hostile.key, Ping(sequence=1), hostile.services[service])
    stolen = sealed(victim.key, Ping(sequence=1), hostile.services[service])
    answers = [
        await hostile.ask(service, "ping", data) for data in (resealed(hostile.key, own, from_=victim.key.did), stolen)
    ]

    assert ["foreign_sender", "foreign_sender"] == [_problem(answer.body) for answer in answers]
    assert before + 2 == await meter.security("foreign_sender")


async def test_request_is_answered_once(hostile: NativeStranger, meter: Meter) -> None:
    """A request that was answered is refused the second time, and on a second connection."""
    before = await meter.security("replayed")
    data = sealed(hostile.key, Fetch(), hostile.services["relay"])
    first, second = await hostile.ask("relay", "fetch", data), await hostile.ask("relay", "fetch", data)

    assert isinstance(first.body, Mail)
    assert "replayed" == _problem(second.body)
    assert before + 1 == await meter.security("replayed")


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Msg-Id": "x"},
        {"Nats-Rollup": "sub"},
        {"Nats-TTL": "1s"},
        {"Nats-Expected-Last-Sequence": "99"},
        {"Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": "aicx.v1.mailbox.x"},
        {"Nats-Request-Info": '{"acc":"AGENTS","user":"did:key:zVictim"}'},
        {"Nats-Sequence": "1", "Nats-Last-Sequence": "0"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_headers_of_an_agent_have_no_effect(
    victim: NativeStranger, hostile: NativeStranger, headers: dict[str, str]
) -> None:
    """What an agent writes into its headers reaches no stream: mail under two ids is stored twice, and stays."""
    answers = [
        await hostile.ask("relay", "submit", mail(hostile.key, victim.key.did, Codec.MSGPACK), headers=headers)
        for _ in range(2)
    ]
    receipts = [answer.body.items[0] for answer in answers if isinstance(answer.body, Receipt)]

    assert [False, False] == [item.duplicate for item in receipts]
    fetched = await victim.ask("relay", "fetch", sealed(victim.key, Fetch(), victim.services["relay"]))
    assert isinstance(fetched.body, Mail)
    assert {item.sequence for item in receipts} <= {item.sequence for item in fetched.body.items}


@pytest.mark.parametrize(
    "aim", [subjects.inbox_mail, subjects.inbox_live, subjects.presence], ids=lambda aim: aim.__name__
)
async def test_answer_aimed_at_a_victim_names_its_author(
    victim: NativeStranger, hostile: NativeStranger, aim: object
) -> None:
    """A service's answer can be aimed at anybody's inbox, and what arrives there says whom it is meant for."""
    subject = aim(victim.key.token)  # type: ignore[operator]
    heard = await victim.hear(subject)
    data = sealed(hostile.key, Discover(), hostile.services["identity"])
    await hostile.tell("identity", "discover", data, subject)
    async with asyncio.timeout(5):
        arrived = await heard.get()

    assert hostile.key.did == unseal(arrived.data).envelope.recipient
    assert "Nats-Sequence" not in (arrived.headers or {})


async def test_envelope_of_another_cannot_be_handed_over(
    victim: NativeStranger, hostile: NativeStranger, meter: Meter
) -> None:
    """Mail that somebody else has signed is refused, however good its signature is."""
    before = await meter.problems("foreign_sender")
    stolen = mail(victim.key, hostile.key.did, Codec.MSGPACK)
    answers = [
        await hostile.ask("relay", "submit", data)
        for data in (stolen, spoofed(hostile.key, victim.key.did, Codec.MSGPACK))
    ]

    assert ["foreign_sender", "foreign_sender"] == [_problem(answer.body) for answer in answers]
    assert before + 2 == await meter.problems("foreign_sender")


async def test_mail_sent_again_is_stored_once(
    platform: Platform, victim: NativeStranger, hostile: NativeStranger
) -> None:
    """The same envelope again, on another connection and after the relay was killed, is known to be the same."""
    data = mail(hostile.key, victim.key.did, Codec.MSGPACK)
    answers = [await hostile.ask("relay", "submit", data) for _ in range(2)]
    async with native(platform.endpoints().nats, hostile.key) as other:
        answers.append(await other.ask("relay", "submit", data))
        await platform.kill("relay")
        await platform.restart("relay")
        answers.append(await other.ask("relay", "submit", data))
    items = [answer.body.items[0] for answer in answers if isinstance(answer.body, Receipt)]

    assert [False, True, True, True] == [item.duplicate for item in items]
    assert 1 == len({item.sequence for item in items})


async def test_honest_agents_were_not_disturbed(bystanders: Traffic) -> None:
    """All the while honest mail was accepted and processed: all of it, once, in order, without a long pause."""
    verdict = await bystanders.settle()

    assert {} == verdict.violations
    assert 0 < verdict.attempted == verdict.processed
    assert PAUSE_MAX_SECONDS > max(verdict.producer_gap_seconds, verdict.consumer_gap_seconds)


async def _ignore(_: object) -> None:
    pass


def _problem(body: object) -> str:
    return body.problem if isinstance(body, Error) else ""
