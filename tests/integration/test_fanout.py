"""One message to many: to each once, no faster than they are stored, and with a report of whom it did not reach."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from tests.integration.sdk_agents import Heard, Host, listening
from tests.integration.strangers import native

from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Policy
from aiconexus.protocol.delivery_errors import NoHolder
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.sdk import Agent, Identity

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIALECTS = ("nats", "binary", "text")
MANY = 40


async def crowd(host: Host, count: int, capability: str) -> dict[str, tuple[Agent, Heard]]:
    """Agents of all dialects that have a capability."""
    agents = [host.make(DIALECTS[number % 3], capabilities=[capability]) for number in range(count)]
    heard = {agent.did: (agent, listening(agent)) for agent in agents}
    await asyncio.gather(*(host.open(agent) for agent in agents))
    return heard


async def test_partial_failure_is_reported(host: Host) -> None:
    """Those who can be reached are, and the others are named with the reason."""
    there = await crowd(host, 6, "many")
    refusing = await host.open(host.make(policy=Policy.LISTED))
    nobody = Identity.generate().did
    alice = await host.open(host.make())
    report = await alice.send_many([*there, refusing.did, nobody, *there], "tea is ready")
    contents = [(await heard.next()).content for _, heard in there.values()]

    assert set(there) == set(report.stored)
    assert ["tea is ready"] * 6 == contents
    problems = {did: error.error.problem for did, error in report.failed.items() if isinstance(error, RemoteProblem)}
    assert {refusing.did: "refused", nobody: "unknown_agent"} == problems
    assert not report.is_complete
    assert str(report) == "stored for 6, not for 2"
    assert all(heard.is_quiet for _, heard in there.values())


async def test_one_of_the_holders_gets_it(host: Host) -> None:
    """A message to a capability goes to one who has it, and many of them are spread."""
    there = await crowd(host, 3, "inbox")
    await host.open(host.make(policy=Policy.LISTED, capabilities=["inbox"]))
    alice = await host.open(host.make("binary"))
    sents = await asyncio.gather(*(alice.send_to("inbox", number) for number in range(MANY)))
    for sent in sents:
        await sent.wait_processed(15)
    counts = {did: sum(sent.recipient == did for sent in sents) for did in there}
    contents = [content for did, (_, heard) in there.items() for content in await heard.contents(counts[did])]

    assert list(range(MANY)) == sorted(contents)
    assert min(counts.values()) > 0
    with pytest.raises(NoHolder):
        await alice.send_to("nobody-has-this", "hello")


async def test_broadcast_reaches_everybody_who_fits(host: Host, platform: Platform) -> None:
    """More recipients than a page holds get it, its sender and those who are away do not, and a limit is told."""
    async with AsyncExitStack() as stack:
        strangers = [await stack.enter_async_context(native(platform.endpoints().nats)) for _ in range(5)]
        for stranger in strangers:
            await stranger.register(capabilities=["news"])
        there = await crowd(host, 3, "news")
        away = await host.open(host.make(capabilities=["news"]))
        await away.unregister()
        alice = await host.open(host.make(capabilities=["news"]))
        report = await alice.broadcast("extra", capability="news")
        short = await alice.broadcast("extra", capability="news", limit=3)

    assert {*there, *(stranger.key.did for stranger in strangers)} == set(report.stored)
    assert report.is_complete
    assert [True, 3, False] == [short.is_cut_short, len(short.stored), short.is_complete]
