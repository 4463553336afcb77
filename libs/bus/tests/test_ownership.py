from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.ownership import BUCKETS, SERVICES, STREAMS
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.streams import Streams
from aiconexus.bus.testing import NatsServer, running
from aiconexus.protocol import subjects
from aiconexus.protocol.records import DUE, EDGES, MAILBOX, PRESENCE, REGISTRY, RELAY, RETRY

from .callout import Callout

AGENT = "z6MkAgent"


@pytest.fixture
def callout() -> Callout:
    """All keys of a platform."""
    return Callout()


@pytest.fixture
async def server(tmp_path: Path, callout: Callout) -> AsyncIterator[NatsServer]:
    """A server with all accounts."""
    async with running(tmp_path, callout.config(tmp_path / "store")) as server:
        yield server


@pytest.fixture
def errors() -> list[str]:
    """What the server has complained of."""
    return []


async def session_of(service: str, callout: Callout, server: NatsServer, errors: list[str]) -> Session:
    """The bus as a service has it."""
    return await Session.connect(
        [server.url],
        callout.users[service],
        name=service,
        inbox_prefix=subjects.service_inbox({"auth": "identity", "system": "identity"}.get(service, service)),
        forever=False,
        on_error=lambda error: errors.append(str(error)),
    )


async def ignore(_: Incoming) -> None:
    """Hear and do nothing."""


MAY_SAY = [
    ("identity", subjects.inbox_live(AGENT)),
    ("identity", subjects.presence(AGENT)),
    ("identity", subjects.service("edge", "revoked")),
    ("signaling", subjects.inbox_live(AGENT)),
    ("relay", subjects.mailbox(AGENT)),
    ("edge", subjects.send(AGENT, "relay", "submit")),
    ("edge", subjects.send(AGENT, "signaling", "forward")),
    ("edge", subjects.send(AGENT, "signaling", "list_servers")),
    ("edge", subjects.send(AGENT, "signaling", "incident")),
    ("identity", subjects.service("signaling", "ping")),
    ("edge", subjects.send(AGENT, "identity", "discover")),
    ("edge", subjects.service("identity", "attach")),
    ("edge", subjects.send(AGENT, "retry", "schedule")),
    ("edge", subjects.send(AGENT, "retry", "dead_letters")),
    ("retry", subjects.retry_timer(f"{AGENT}.id.{AGENT}")),
    ("retry", subjects.job("record", f"{AGENT}.id.{AGENT}")),
    ("retry", subjects.dead_letter(f"{AGENT}.id.{AGENT}")),
    ("retry", subjects.service("relay", "place")),
    ("retry", subjects.consumer_next(RETRY, DUE)),
    ("relay", subjects.service("retry", "schedule")),
    ("system", subjects.server_ping("CONNZ")),
    ("system", subjects.server_request("NX", "KICK")),
]

MUST_NOT_SAY = [
    ("identity", subjects.mailbox(AGENT)),
    ("identity", subjects.bucket_key(EDGES, "e")),
    ("identity", subjects.send(AGENT, "relay", "submit")),
    ("identity", subjects.stream_api("PURGE", MAILBOX)),
    ("relay", subjects.bucket_key(REGISTRY, AGENT)),
    ("relay", subjects.bucket_key(PRESENCE, AGENT)),
    ("relay", subjects.presence(AGENT)),
    ("relay", subjects.send(AGENT, "relay", "submit")),
    ("relay", subjects.stream_api("DELETE", MAILBOX)),
    ("edge", subjects.mailbox(AGENT)),
    ("edge", subjects.bucket_key(REGISTRY, AGENT)),
    ("edge", subjects.bucket_key(RELAY, "lease")),
    ("edge", subjects.inbox_live(AGENT)),
    ("edge", subjects.inbox_mail(AGENT)),
    ("edge", subjects.send(AGENT, "identity", "register")),
    ("edge", subjects.presence(AGENT)),
    ("edge", subjects.stream_api("CREATE", MAILBOX)),
    ("edge", subjects.direct_get(MAILBOX)),
    ("relay", subjects.inbox_live(AGENT)),
    ("signaling", subjects.mailbox(AGENT)),
    ("signaling", subjects.inbox_mail(AGENT)),
    ("signaling", subjects.bucket_key(PRESENCE, AGENT)),
    ("signaling", subjects.direct_get(MAILBOX)),
    ("signaling", subjects.service("relay", "place")),
    ("signaling", subjects.send(AGENT, "signaling", "forward")),
    ("retry", subjects.mailbox(AGENT)),
    ("retry", subjects.inbox_live(AGENT)),
    ("retry", subjects.direct_get(MAILBOX)),
    ("retry", subjects.service("identity", "attach")),
    ("retry", subjects.consumer_create(MAILBOX, DUE)),
    ("retry", subjects.consumer_create(RETRY, "another")),
    ("relay", subjects.job("record", f"{AGENT}.id.{AGENT}")),
    ("relay", subjects.consumer_next(RETRY, DUE)),
    ("edge", subjects.service("relay", "place")),
    ("auth", subjects.mailbox(AGENT)),
    ("auth", subjects.login_requests()),
    ("system", subjects.server_request("NX", "RELOAD")),
    ("system", subjects.mailbox(AGENT)),
]

MAY_HEAR = [
    *((service, subjects.sends_to(service)) for service in SERVICES),
    *((service, subjects.service_verbs(service)) for service in SERVICES),
    *((service, subjects.bucket_changes(REGISTRY)) for service in SERVICES),
    ("edge", subjects.inbox_of(AGENT)),
    ("edge", subjects.all_presence()),
    ("auth", subjects.login_requests()),
    ("system", subjects.account_events("AGENTS", "CONNECT")),
]

MUST_NOT_HEAR = [
    ("identity", subjects.sends_to("relay")),
    ("identity", subjects.all_mailboxes()),
    ("identity", subjects.inbox_of(AGENT)),
    ("identity", "_INBOX.>"),
    ("relay", subjects.sends_to("identity")),
    ("relay", subjects.retry_dues()),
    ("signaling", subjects.sends_to("relay")),
    ("signaling", subjects.all_stored()),
    ("signaling", subjects.all_inboxes()),
    ("relay", subjects.sends_to("signaling")),
    ("retry", subjects.sends_to("relay")),
    ("retry", subjects.all_stored()),
    ("retry", subjects.all_inboxes()),
    ("relay", f"{subjects.service_inbox('edge')}.>"),
    ("relay", ">"),
    ("edge", subjects.all_sends()),
    ("edge", subjects.all_stored()),
    ("edge", subjects.service_verbs("identity")),
    ("auth", ">"),
    ("system", "$SYS.>"),
]


async def said(service: str, subject: str, callout: Callout, server: NatsServer, errors: list[str]) -> None:
    """Say something there, and wait for what the server has against it."""
    session = await session_of(service, callout, server, errors)
    await session.publish(subject, b"x")
    await session.barrier()
    await session.close()


async def heard(service: str, subject: str, callout: Callout, server: NatsServer, errors: list[str]) -> None:
    """Likewise, listen."""
    session = await session_of(service, callout, server, errors)
    await session.subscribe(subject, ignore)
    await session.barrier()
    await session.close()


@pytest.mark.parametrize(("service", "subject"), MAY_SAY)
async def test_a_service_says_its_own_part(
    server: NatsServer, callout: Callout, errors: list[str], service: str, subject: str
) -> None:
    """The server carries what the ownership map gives to a service."""
    await said(service, subject, callout, server, errors)

    assert [] == errors


@pytest.mark.parametrize(("service", "subject"), MUST_NOT_SAY)
async def test_a_service_does_not_say_the_part_of_another(
    server: NatsServer, callout: Callout, errors: list[str], service: str, subject: str
) -> None:
    """The server refuses what the ownership map gives to somebody else, or to nobody."""
    await said(service, subject, callout, server, errors)

    assert [True] == ["permissions violation for publish" in error for error in errors]


@pytest.mark.parametrize(("service", "subject"), MAY_HEAR)
async def test_a_service_hears_its_own_part(
    server: NatsServer, callout: Callout, errors: list[str], service: str, subject: str
) -> None:
    """The server lets a service hear what the ownership map gives to it."""
    await heard(service, subject, callout, server, errors)

    assert [] == errors


@pytest.mark.parametrize(("service", "subject"), MUST_NOT_HEAR)
async def test_a_service_does_not_hear_the_part_of_another(
    server: NatsServer, callout: Callout, errors: list[str], service: str, subject: str
) -> None:
    """The server refuses interest in what is not meant for a service."""
    await heard(service, subject, callout, server, errors)

    assert [True] == ["permissions violation for subscription" in error for error in errors]


@pytest.mark.parametrize("service", [service for service in SERVICES if BUCKETS[service]])
async def test_an_owner_keeps_its_buckets(
    server: NatsServer, callout: Callout, errors: list[str], service: str
) -> None:
    """A service makes, writes and reads the bucket that it owns."""
    session = await session_of(service, callout, server, errors)
    bucket = await Bucket.ensure(session, BUCKETS[service][0], ttl_seconds=15)
    await bucket.put("key", b"1")
    entry = await bucket.get("key")
    await bucket.delete("key")
    await session.close()

    assert (entry and entry.value, errors) == (b"1", [])


async def test_the_relay_keeps_the_mailboxes(server: NatsServer, callout: Callout, errors: list[str]) -> None:
    """Everything that a mailbox needs is allowed to the relay: store, read, purge, delete."""
    session = await session_of("relay", callout, server, errors)
    streams = Streams(session)
    await streams.ensure({"name": STREAMS["relay"][0], "subjects": [subjects.all_mailboxes()], "allow_direct": True})
    subject = subjects.mailbox(AGENT)
    stored = [await streams.publish(subject, b"x", id_=str(number)) for number in range(3)]
    page = await streams.batch(MAILBOX, subject, 0, limit=10, max_bytes=10_000)
    deleted = await streams.delete(MAILBOX, 3)
    purged = await streams.purge(MAILBOX, subject, 2)
    await session.close()

    assert ([1, 2, 3], 3, True, 2, []) == (
        [place.sequence for place in stored],
        len(page.items),
        deleted,
        purged,
        errors,
    )


async def test_a_reader_follows_the_bucket_of_another(server: NatsServer, callout: Callout, errors: list[str]) -> None:
    """The relay reads and watches what identity writes, and cannot write it."""
    identity = await session_of("identity", callout, server, errors)
    relay = await session_of("relay", callout, server, errors)
    written = await Bucket.ensure(identity, REGISTRY)
    revision = await written.put("key", b"1")
    read = await Bucket(relay, REGISTRY).get("key")
    changes: list[Any] = []
    watch = await Bucket(relay, REGISTRY).watch(lambda *change: changes.append(change), lambda: None)
    await watch.stop()
    await relay.close()
    await identity.close()

    assert (read and read.value, [("key", b"1", revision)], []) == (b"1", changes, errors)


async def test_a_service_answers_what_it_was_asked_once(
    server: NatsServer, callout: Callout, errors: list[str]
) -> None:
    """The permission to answer is one reply to the asker, and nothing after it."""
    identity = await session_of("identity", callout, server, errors)
    edge = await session_of("edge", callout, server, [])

    async def answer(incoming: Incoming) -> None:
        await identity.publish(incoming.reply, b"1")
        await identity.publish(incoming.reply, b"2")

    await identity.subscribe(subjects.service_verbs("identity"), answer)
    await identity.barrier()
    reply = await edge.request(subjects.service("identity", "attach"), b"")
    await identity.barrier()
    await edge.close()
    await identity.close()

    assert (b"1", 1) == (reply.data, len(errors))
    assert "permissions violation for publish" in errors[0]
