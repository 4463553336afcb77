"""What one agent can do to another that uses the SDK: nothing that it did not agree to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.forgeries import mail
from tests.integration.processes import PAUSE_MAX_SECONDS, Traffic, dialects
from tests.integration.strangers import NativeStranger, native, sealed

from aiconexus.bus.session import Incoming
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import (
    Body,
    Discover,
    Error,
    ExecResponse,
    Message,
    Outcome,
    Pong,
    Presence,
    Receipt,
    ReceiptItem,
    ReceiptStatus,
    Revoked,
    Takeover,
)
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.seal import Codec, unseal
from aiconexus.sdk import Agent, AgentState, Delivery, Identity

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("bystanders")]

SOON = 5.0


class Victim:
    """An honest agent and all that ever reached its application."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.handled: list[Any] = []
        self.errors: list[Exception] = []
        agent.on("MESSAGE")(self._note)
        agent.on("OFFER")(self._note)
        agent.on_error(self.errors.append)

    async def _note(self, delivery: Delivery) -> None:
        self.handled.append(delivery.content)


@pytest_asyncio.fixture(params=["nats", "binary", "text"], loop_scope="module")
async def victim(platform: Platform, request: pytest.FixtureRequest) -> AsyncIterator[Victim]:
    """An honest agent, in every dialect."""
    url, subprotocol = dialects(platform.endpoints())[request.param]
    victim = Victim(Agent(Identity.generate(), url, subprotocol=subprotocol, connect_timeout=SOON))
    async with victim.agent:
        yield victim


@pytest_asyncio.fixture(loop_scope="module")
async def hostile(platform: Platform) -> AsyncIterator[NativeStranger]:
    """Somebody who registered like everybody else."""
    async with native(platform.endpoints().nats) as stranger:
        yield stranger


@pytest_asyncio.fixture(loop_scope="module")
async def absent(platform: Platform) -> str:
    """Somebody who registered and left."""
    async with native(platform.endpoints().nats) as stranger:
        return stranger.key.did


async def check_unharmed(victim: Victim, hostile: NativeStranger) -> None:
    """The victim is where it was, and the next honest envelope reaches it and nothing before it did."""
    answer = await hostile.say(Message(content="honest"), victim.agent.did)
    assert isinstance(answer.body, Receipt)
    await victim.agent.ping()
    async with asyncio.timeout(SOON):
        while not victim.handled:
            await asyncio.sleep(0.01)
    assert (["honest"], AgentState.ONLINE) == (victim.handled, victim.agent.state)


AIMS: dict[str, Callable[[str], str]] = {
    "mail": subjects.inbox_mail,
    "live": subjects.inbox_live,
    "answers": lambda token: subjects.inbox_replies(token) + ".x.1",
    "presence": subjects.presence,
}


@pytest.mark.parametrize("aim", AIMS.values(), ids=AIMS)
async def test_answer_aimed_at_an_agent_is_not_believed(
    victim: Victim, hostile: NativeStranger, aim: Callable[[str], str]
) -> None:
    """Signed answers of services to somebody else change nothing where they are misdirected to."""
    reply = aim(victim.agent.did.removeprefix("did:key:"))
    services = hostile.services
    await hostile.tell("identity", "discover", sealed(hostile.key, Discover(), services["identity"]), reply)
    await hostile.tell("identity", "platform", b"", reply)
    await hostile.tell("relay", "submit", mail(hostile.key, hostile.key.did, Codec.MSGPACK), reply)
    await hostile.tell("relay", "ping", b"garbage", reply)
    await hostile.session.barrier()

    await check_unharmed(victim, hostile)


NEWS: dict[str, Body] = {
    "takeover": Takeover(session="mine"),
    "revoked": Revoked(did="did:key:z6MkVictim", at_ms=1),
    "presence": Presence(did="did:key:z6MkVictim", online=False, at_ms=1),
}


@pytest.mark.parametrize(("service", "verb"), [("relay", "submit"), ("signaling", "forward")])
@pytest.mark.parametrize("news", NEWS.values(), ids=NEWS)
async def test_news_of_the_platform_cannot_be_forged(
    victim: Victim, hostile: NativeStranger, news: Body, service: str, verb: str
) -> None:
    """What only identity may say is refused from an agent, by mail and live."""
    recipient = None if isinstance(news, Presence) else victim.agent.did
    answer = (await hostile.ask(service, verb, sealed(hostile.key, news, recipient))).body

    assert isinstance(answer, Error)
    assert "unsupported_type" == answer.problem
    await check_unharmed(victim, hostile)


@pytest.mark.parametrize("status", list(ReceiptStatus))
async def test_receipt_of_a_stranger_is_not_believed(
    victim: Victim, hostile: NativeStranger, absent: str, status: ReceiptStatus
) -> None:
    """Only the relay and the recipient can say what became of an envelope; a stranger who knows its id cannot."""
    sent = await victim.agent.send(absent, "important")
    forged = Receipt(items=(ReceiptItem(id=sent.id, status=status),))
    await hostile.say(forged, victim.agent.did)

    await check_unharmed(victim, hostile)
    with pytest.raises(NotAcknowledged):
        await sent.wait_processed(0)
    assert [] == victim.agent.dead_letters()


async def test_answer_of_a_stranger_is_not_believed(
    victim: Victim, hostile: NativeStranger, platform: Platform
) -> None:
    """A call is answered by the one who was called, whoever else claims to."""
    async with native(platform.endpoints().nats) as callee:
        heard = await callee.hear(subjects.inbox_mail(callee.key.token))
        call = asyncio.create_task(victim.agent.call(callee.key.did, capability="x", timeout=SOON))
        request = await _id_of("EXEC_REQUEST", heard)
        for stranger, result in ((hostile, "forged"), (callee, "genuine")):
            answer = ExecResponse(status=Outcome.SUCCESS, result=result)
            await stranger.say(answer, victim.agent.did, in_reply_to=request)

        assert "genuine" == await call


async def _id_of(type_: str, heard: "asyncio.Queue[Incoming]") -> str:
    """The id of the first envelope of a type."""
    async with asyncio.timeout(SOON):
        while (envelope := unseal((await heard.get()).data).envelope).type != type_:
            pass
    return envelope.id


async def test_pong_of_a_stranger_is_not_believed(victim: Victim, hostile: NativeStranger, platform: Platform) -> None:
    """A PING is answered by the one who was pinged."""
    async with native(platform.endpoints().nats) as pinged:
        heard = await pinged.hear(subjects.inbox_live(pinged.key.token))
        ping = asyncio.create_task(victim.agent.ping(pinged.key.did, timeout=0.5))
        id_ = await _id_of("PING", heard)
        pong = sealed(hostile.key, Pong(sequence=1), victim.agent.did, in_reply_to=id_)
        await hostile.ask("signaling", "forward", pong)
        with pytest.raises(NotAcknowledged):
            await ping


async def test_honest_agents_were_not_disturbed(bystanders: Traffic) -> None:
    """All the while honest mail was accepted and processed: all of it, once, in order, without a long pause."""
    verdict = await bystanders.settle()

    assert {} == verdict.violations
    assert 0 < verdict.attempted == verdict.processed
    assert PAUSE_MAX_SECONDS > max(verdict.producer_gap_seconds, verdict.consumer_gap_seconds)
