"""What agents do all day, on the composed set, between both roads and all three dialects."""

import base64
import os
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.containers.composed import Composed
from tests.integration.processes import dialects

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.cli.fetch import fetch
from aiconexus.protocol.bodies import Agents, Discover, Message
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import compose
from aiconexus.sdk import Agent, Delivery, Identity

pytestmark = pytest.mark.containers

SECONDS = 15.0
PAIRS = (("nats", "binary"), ("binary", "text"), ("text", "nats"))

MakeAgent = Callable[..., Agent]
each_pair = pytest.mark.parametrize(("speaker", "listener"), PAIRS)


@pytest.fixture
def make(composed: Composed) -> MakeAgent:
    """Makes an agent of a dialect that was not started."""
    ways = dialects(composed.endpoints)

    def agent(dialect: str, **options: Any) -> Agent:
        url, subprotocol = ways[dialect]
        return Agent(Identity.generate(), url, subprotocol=subprotocol, connect_timeout=SECONDS, **options)

    return agent


@each_pair
async def test_agents_find_each_other(make: MakeAgent, speaker: str, listener: str) -> None:
    """An agent that registered is found by what it can do, and is online."""
    capability = f"text.{os.urandom(4).hex()}"
    async with make(listener, name="bob", capabilities=[capability]) as bob, make(speaker) as alice:
        found = [card async for card in alice.discover(capability=capability)]

    assert [(bob.did, "bob", True)] == [(card.did, card.name, card.online) for card in found]


@each_pair
async def test_mail_is_processed(make: MakeAgent, speaker: str, listener: str) -> None:
    """Mail is stored, handled once, and the recipient signs that it was."""
    heard: list[Any] = []
    bob = make(listener)

    @bob.on("MESSAGE")
    async def note(delivery: Delivery) -> None:
        heard.append(delivery.content)

    async with bob, make(speaker) as alice:
        sent = await alice.send(bob.did, {"text": "grüß dich"})
        await sent.wait_processed(SECONDS)

    assert [{"text": "grüß dich"}] == heard


@each_pair
async def test_request_is_answered(make: MakeAgent, speaker: str, listener: str) -> None:
    """A question is answered by the one who was asked, and a capability returns its result."""
    bob = make(listener)

    @bob.on("MESSAGE")
    async def answer(delivery: Delivery) -> None:
        await delivery.reply(f"you said {delivery.content}")

    @bob.capability("text.words")
    async def words(args: dict[str, Any]) -> int:
        return len(args["text"].split())

    async with bob, make(speaker) as alice:
        answered = await alice.request(bob.did, Message(content="hello"), timeout=SECONDS)
        counted = await alice.call(bob.did, capability="text.words", args={"text": "one two three"}, timeout=SECONDS)

    assert ("you said hello", bob.did, 3) == (answered.content, answered.sender, counted)


async def test_health_is_told(composed: Composed) -> None:
    """/health says that the edge works, and what of."""
    status, page = await fetch(f"{composed.endpoints.http}/health")
    report = msgspec.json.decode(page)

    assert (200, "edge") == (status, report["service"])
    assert {"bus", "memory", "disk", "process"} <= set(report["components"])


async def test_metrics_are_not_for_everybody(composed: Composed) -> None:
    """The port that everybody reaches serves no metrics."""
    status, _ = await fetch(f"{composed.endpoints.http}/metrics")

    assert 404 == status


async def test_agents_are_listed_to_whoever_signs(composed: Composed, make: MakeAgent) -> None:
    """/agents answers a signed question, and only that."""
    url = f"{composed.endpoints.http}/agents"
    async with make("nats", name="carol", capabilities=["listed"]) as carol:
        question = compose(
            Discover(capability="listed"),
            SigningKey(os.urandom(32)),
            composed.endpoints.platform,
            id_=new_id(),
            now_ms=now_ms(),
        )
        authorization = f"AIConexus {base64.urlsafe_b64encode(question).decode()}"
        async with aiohttp.ClientSession() as client:
            async with client.get(url) as refused:
                pass
            async with client.get(url, headers={"Authorization": authorization}) as answered:
                listed = msgspec.json.decode(await answered.read(), type=Agents)

    assert (401, 200) == (refused.status, answered.status)
    assert [carol.did] == [card.did for card in listed.agents]
