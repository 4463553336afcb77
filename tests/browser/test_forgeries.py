"""What a page does not believe: an edge that lies, a stranger's answers, another platform."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, expect
from tests.browser.hostile import HostileEdge
from tests.browser.visitor import SECONDS, Visitor
from tests.integration.sdk_agents import Host

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import AgentCard, Agents, Message
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Codec, compose, split
from aiconexus.protocol.text import frame_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MALLORY = SigningKey(b"\x07" * 32)


@asynccontextmanager
async def deceived(browser: Browser, site: str, edge: str) -> AsyncIterator[tuple[Visitor, HostileEdge]]:
    """A page whose edge can lie."""
    context = await browser.new_context()
    try:
        visitor = Visitor(await context.new_page())
        hostile = HostileEdge(visitor.page)
        await hostile.step_in()
        await visitor.page.goto(f"{site}/page/index.html?edge={edge}")
        await visitor.see_state("online")
        yield visitor, hostile
        assert visitor.complaints == []
    finally:
        await context.close()


async def refused(visitor: Visitor, count: int = 1) -> None:
    """Wait until the page has refused so many things."""
    await expect(visitor.page.locator("#refusals")).to_have_text(str(count), timeout=SECONDS * 1000)


async def test_changed_mail_is_not_believed(browser: Browser, site: str, edge: str, host: Host) -> None:
    """A copy with another content is refused and counted; what the sender signed arrives in its place."""
    agent = await host.open(host.make("text"))

    def lie(frame: dict[str, Any]) -> dict[str, Any]:
        return frame | {"payload": {"content": "give me your money"}} if "delivery" in frame else frame

    async with deceived(browser, site, edge) as (visitor, hostile):
        hostile.change(lie)
        first = await agent.send(await visitor.did(), "good day")
        await refused(visitor)
        hostile.change(lambda frame: frame)
        await agent.send(await visitor.did(), "good night")
        async with asyncio.timeout(SECONDS):
            await first.wait_processed()
        contents = await visitor.run("() => agent.lines.map((line) => line.content)")

        assert ["good day", "good night"] == contents


async def test_forged_sender_is_not_believed(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Mail in another's name, signed by somebody else, is refused in either codec, and so is mail for another."""
    agent = await host.open(host.make("nats"))
    async with deceived(browser, site, edge) as (visitor, hostile):
        did = await visitor.did()
        forged = compose(
            Message(content="I am your friend"), MALLORY, did, id_=new_id(), now_ms=now_ms(), codec=Codec.JSON
        )
        parts = split(forged)
        in_another_name = parts.payload.replace(MALLORY.did.encode(), agent.identity.did.encode())
        hostile.inject(frame_of(in_another_name, parts.signature, 1, None))
        await refused(visitor, 1)
        astray = split(
            compose(Message(content="x"), MALLORY, agent.identity.did, id_=new_id(), now_ms=now_ms(), codec=Codec.JSON)
        )
        hostile.inject(frame_of(astray.payload, astray.signature))
        await refused(visitor, 2)
        hostile.inject(b"{no JSON")
        await refused(visitor, 3)

        assert [] == await visitor.run("() => agent.lines")


async def test_services_answer_for_themselves(browser: Browser, site: str, edge: str, host: Host) -> None:
    """An answer that another agent signed is refused, though it names the question and is meant for the page."""
    async with deceived(browser, site, edge) as (visitor, hostile):
        did = await visitor.did()

        def answer(frame: dict[str, Any]) -> dict[str, Any]:
            if frame.get("type") != "AGENTS":
                return frame
            body = Agents(agents=(AgentCard(did=MALLORY.did, name="your bank", online=True),))
            sealed = compose(
                body, MALLORY, did, id_=new_id(), now_ms=now_ms(), codec=Codec.JSON, in_reply_to=frame["correlation_id"]
            )
            hostile.inject(frame_of(split(sealed).payload, split(sealed).signature))
            return frame

        hostile.change(answer)
        found = await visitor.run("() => agent.edge.ask('identity', 'DISCOVER', {}, 'AGENTS')")
        # The page may be asking by itself just now.
        await expect(visitor.page.locator("#refusals")).not_to_have_text("0", timeout=SECONDS * 1000)

        assert MALLORY.did not in [card["did"] for card in found["agents"]]
        assert did in [card["did"] for card in found["agents"]]


async def test_replayed_presence_counts_once(browser: Browser, site: str, edge: str, host: Host) -> None:
    """A PRESENCE that comes again is refused, so nobody can show an agent as it was."""
    async with deceived(browser, site, edge) as (visitor, hostile):
        said: list[dict[str, Any]] = []

        def keep(frame: dict[str, Any]) -> dict[str, Any]:
            said.append(frame)
            return frame

        hostile.change(keep)
        agent = await host.open(host.make("nats", name="fleeting"))
        entry = visitor.page.locator(f'[data-did="{agent.identity.did}"]')
        await expect(entry).to_contain_text("here")
        await agent.close()
        await expect(entry).to_contain_text("away")
        (arrival, *_) = [frame for frame in said if _tells(frame, agent.identity.did)]
        hostile.inject(msgspec.json.encode(arrival))
        await refused(visitor)

        await expect(entry).to_contain_text("away")


async def test_another_platform_is_not_trusted(browser: Browser, site: str, edge: str) -> None:
    """An edge that suddenly belongs to another platform gets no signature; the page says so, and its user decides."""
    async with deceived(browser, site, edge) as (visitor, _):
        stranger = MALLORY.did
        await visitor.run("([url, did]) => agent.store.remember(`platform ${url}`, did)", edge, stranger)
        await visitor.page.reload()
        await visitor.see_state("closed")
        await expect(visitor.page.locator("#alert-text")).to_contain_text("another platform")
        await visitor.page.get_by_role("button", name="Trust this platform").click()
        await visitor.see_state("online")


def _tells(frame: dict[str, Any], did: str) -> bool:
    """Whether an opaque frame, as identity's PRESENCE comes, speaks of an agent."""
    return "codec" in frame and did.encode() in base64.b64decode(frame["payload"])
