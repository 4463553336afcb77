import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import NatsServer, running
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import LoginRefused
from aiconexus.protocol.keys import SigningKey

from .callout import Callout


@pytest.fixture
def callout() -> Callout:
    """The responder, not yet connected."""
    return Callout()


@pytest.fixture
async def server(tmp_path: Path, callout: Callout) -> AsyncIterator[NatsServer]:
    """A server with all accounts, whose logins are answered."""
    async with running(tmp_path, callout.config(tmp_path / "store")) as server:
        await callout.open(server.url)
        yield server
        await callout.session.close()


def agent(key: SigningKey, server: NatsServer, errors: list[str]) -> Any:
    """The login of an agent, to be awaited."""
    return Session.connect(
        [server.url],
        key,
        name="agent",
        inbox_prefix=subjects.inbox_replies(key.token),
        forever=False,
        on_error=lambda error: errors.append(str(error)),
    )


async def test_a_did_logs_in_and_is_named_to_the_service(server: NatsServer, callout: Callout) -> None:
    """An agent's key opens the bus, and identity learns the DID of who asks from the server itself."""
    key = SigningKey(os.urandom(32))
    identity = await Session.connect(
        [server.url], callout.users["identity"], name="identity", inbox_prefix="_INBOX.identity"
    )

    async def echo(incoming: Incoming) -> None:
        await identity.publish(incoming.reply, (incoming.headers or {})["Nats-Request-Info"].encode())

    await identity.subscribe(subjects.sends_to("identity"), echo, queue="identity")
    await identity.barrier()
    session = await agent(key, server, [])
    answer = await session.request(
        subjects.send(key.token, "identity", "ping"), b"", headers={"Nats-Request-Info": '{"user":"forged"}'}
    )
    await session.close()
    await identity.close()

    assert (key.did, "AGENTS") == (msgspec.json.decode(answer.data)["user"], msgspec.json.decode(answer.data)["acc"])


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(subjects.send("z6MkVictim", "relay", "submit"), id="foreign send"),
        pytest.param(subjects.mailbox("z6MkVictim"), id="mailbox"),
        pytest.param(subjects.inbox_live("z6MkVictim"), id="foreign inbox"),
        pytest.param(subjects.presence("z6MkVictim"), id="presence"),
        pytest.param(subjects.service("identity", "attach"), id="between services"),
        pytest.param(subjects.stream_api("DELETE", "MAILBOX"), id="JetStream"),
        pytest.param(subjects.bucket_key("REGISTRY", "x"), id="bucket"),
        pytest.param(subjects.server_ping("CONNZ"), id="system"),
    ],
)
async def test_an_agent_may_publish_nothing_but_its_own_requests(server: NatsServer, subject: str) -> None:
    """The server itself refuses to carry what an agent has no business to say."""
    errors: list[str] = []
    session = await agent(SigningKey(os.urandom(32)), server, errors)
    await session.publish(subject, b"x")
    await session.barrier()
    await session.close()

    assert [True] == ["permissions violation for publish" in error for error in errors]


@pytest.mark.parametrize(
    "subject",
    [">", "_INBOX.>", "$SYS.>", subjects.all_inboxes(), subjects.inbox_of("z6MkVictim"), subjects.all_sends()],
)
async def test_an_agent_may_hear_nothing_but_its_inbox_and_presence(server: NatsServer, subject: str) -> None:
    """The server itself refuses interest in what is meant for others."""
    errors: list[str] = []
    session = await agent(SigningKey(os.urandom(32)), server, errors)

    async def hear(_: Incoming) -> None:
        errors.append("heard")

    await session.subscribe(subject, hear)
    await session.barrier()
    await session.close()

    assert [True] == ["permissions violation for subscription" in error for error in errors]


async def test_a_refused_agent_stays_out(server: NatsServer, callout: Callout) -> None:
    """The responder's no is final for the login."""
    key = SigningKey(os.urandom(32))
    callout.banned.add(key.did)

    with pytest.raises(LoginRefused):
        await agent(key, server, [])
