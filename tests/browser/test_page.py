"""The page as an agent among others: presence, mail on every road, losses and takeovers."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, expect
from tests.browser.visitor import Visitor, visiting
from tests.integration.sdk_agents import SECONDS, Host, listening

from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import ExecRequest, Message
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.sdk import Direct

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("dialect", ["nats", "binary", "text"])
async def test_mail_goes_both_ways(browser: Browser, site: str, edge: str, host: Host, dialect: str) -> None:
    """A message is signed, stored, handled and receipted in either direction, whatever road the other is on."""
    agent = host.make(dialect, name=f"python on {dialect}")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge, name="page") as visitor:
        await visitor.choose(agent.identity.did)
        await visitor.say("good morning")
        await visitor.see_line("good morning", "processed", "by the relay")
        delivery = await heard.next()
        sent = await agent.send(delivery.sender, {"and to": "you"})
        await visitor.see_line('"and to": "you"', "signature verified")
        await sent.wait_processed(SECONDS)

        assert "good morning" == delivery.content
        assert await visitor.did() == delivery.sender


async def test_order_is_kept_in_both_directions(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Fifty messages each way at once are read once and in order."""
    agent = host.make("nats")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        sending = visitor.run(
            "([did]) => Promise.all(Array.from({ length: 50 }, (_, at) => agent.send(did, at)))", agent.identity.did
        )
        did = await visitor.did()
        sent = [await agent.post(did, Message(content=number)) for number in range(50)]
        await sending
        await asyncio.gather(*(each.wait_processed(SECONDS) for each in sent))
        shown = await visitor.run("() => agent.lines.filter((line) => !line.isMine).map((line) => line.content)")

        assert list(range(50)) == await heard.contents(50)
        assert list(range(50)) == shown


async def test_agents_come_and_go(browser: Browser, site: str, edge: str, host: Host) -> None:
    """The page shows by name who is here, hears of newcomers, and sees them leave."""
    async with visiting(browser, site, edge, name="watcher") as visitor:
        agent = await host.open(host.make("nats", name="newcomer", capabilities=["tea.brew"]))
        entry = visitor.page.locator(f'[data-did="{agent.identity.did}"]')
        await expect(entry).to_contain_text("newcomer")
        await expect(entry).to_contain_text("here, on NATS")
        await expect(entry).to_contain_text("tea.brew")
        card = [card async for card in agent.discover(name="watcher", online=True)]
        await agent.close()
        await expect(entry).to_contain_text("away")

        assert [await visitor.did()] == [each.did for each in card]


async def test_call_to_a_page_is_declined(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Whoever calls a page hears at once that it answers no calls."""
    agent = await host.open(host.make("nats"))
    async with visiting(browser, site, edge) as visitor:
        with pytest.raises(RemoteProblem, match="answers no calls"):
            await agent.request(await visitor.did(), ExecRequest(capability="tea.brew"), timeout=SECONDS)


async def test_mail_survives_a_lost_edge(
    browser: Browser, site: str, edge: str, host: Host, platform: Platform
) -> None:
    """While the edge is dead the page keeps what it says, even over a reload; both sides get all of it afterwards."""
    agent = host.make("nats", name="patient")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        did = await visitor.did()
        await visitor.choose(agent.identity.did)
        await platform.kill("edge")
        try:
            await visitor.see_state("offline")
            await visitor.say("are you there?")
            await visitor.see_line("are you there?", "waiting")
            await agent.send(did, "I am")
            await visitor.page.reload()
        finally:
            await platform.restart("edge")
        await visitor.see_state("online")
        delivery = await heard.next()
        await visitor.choose(agent.identity.did)
        await visitor.see_line("I am", "signature verified")
        await visitor.see_line("are you there?", "processed")

        assert ("are you there?", did) == (delivery.content, delivery.sender)
        assert heard.is_quiet


async def test_second_window_takes_over(browser: Browser, site: str, edge: str, host: Host) -> None:
    """A second window of the same key is the live one; the first says so, does not fight, and may take back."""
    agent = await host.open(host.make("nats"))
    async with visiting(browser, site, edge) as first:
        second = Visitor(await first.context.new_page())
        await second.page.goto(first.page.url)
        await second.see_state("online")
        await first.see_state("closed")
        await expect(first.page.locator("#alert-text")).to_contain_text("has taken over")
        await first.page.get_by_role("button", name="Connect", exact=True).click()
        await first.see_state("online")
        await second.see_state("closed")
        sent = await agent.send(await first.did(), "who are you?")
        await sent.wait_processed(SECONDS)

        assert await second.did() == await first.did()


async def test_wrong_addresses_are_told_in_words(browser: Browser, site: str, edge: str) -> None:
    """What is no address of an edge, and an address where none answers; the right one ends the complaint."""
    async with visiting(browser, site, edge) as visitor:
        page = visitor.page
        await page.fill("#url", "my edge")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await visitor.see_state("closed")
        await expect(page.locator("#alert-text")).to_have_text(re.compile("“my edge” is no address of an edge"))
        await page.fill("#url", site.replace("http", "ws") + "/ws")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await visitor.see_state("offline")
        await expect(page.locator("#state")).to_contain_text("No edge answers at ws://")
        await expect(page.locator("#alert")).to_be_hidden()
        await page.fill("#url", edge)
        await page.get_by_role("button", name="Connect", exact=True).click()
        await visitor.see_state("online")
        await expect(page.locator("#alert")).to_be_hidden()


async def test_refusal_is_told_in_words(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Who opens no direct connections, and who is away, is named; no text lies over another."""
    agent = await host.open(host.make("nats", name="closed door", direct=Direct(enabled=False)))
    absent = await host.open(host.make("nats", name="on a very long leave"))
    async with visiting(browser, site, edge) as visitor:
        page = visitor.page
        await visitor.choose(agent.identity.did)
        await page.click("#direct")
        await expect(page.locator("#road")).to_contain_text("opens no direct connections")
        await absent.close()
        await expect(page.locator(f'[data-did="{absent.identity.did}"]')).to_contain_text("away")
        await visitor.choose(absent.identity.did)
        await page.click("#direct")
        await expect(page.locator("#road")).to_contain_text("agent on a very long leave is offline")
        name, road = [await page.locator(each).bounding_box() for each in ("#peer-name", "#road")]

        assert name is not None
        assert road is not None
        assert name["x"] + name["width"] <= road["x"]


async def test_browser_that_cannot_is_told_why(browser: Browser, site: str) -> None:
    """Without WebCrypto, as on a page that came without TLS, the page says what it needs."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    await page.goto(f"{site}/page/index.html")
    try:
        await expect(page.locator("#alert-text")).to_contain_text("It needs https")
    finally:
        await context.close()


async def test_page_can_be_used_by_keyboard_on_a_phone(browser: Browser, site: str, edge: str, host: Host) -> None:
    """On a narrow screen, with keys alone: find an agent, open it, write, and come back; nothing is cut off."""
    agent = host.make("nats", name="zz keyboard")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        page = visitor.page
        await page.set_viewport_size({"width": 360, "height": 700})
        await page.focus("#filter")
        await page.keyboard.type("zz key")
        await expect(page.locator("#agents button")).to_have_count(1)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#text")).to_be_focused()
        await page.keyboard.type("by keys")
        await page.keyboard.press("Enter")
        await visitor.see_line("by keys", "processed")
        width = await visitor.run("() => document.documentElement.scrollWidth")
        await page.focus("#back")
        await page.keyboard.press("Enter")
        await expect(page.locator("#filter")).to_be_visible()

        assert "by keys" == (await heard.next()).content
        assert 360 >= width


async def test_key_cannot_be_carried_away(browser: Browser, site: str, edge: str) -> None:
    """The private key is not extractable, and stays the same over a reload."""
    async with visiting(browser, site, edge) as visitor:
        did = await visitor.did()
        await visitor.page.reload()
        await visitor.see_state("online")
        stolen = await visitor.run(
            "() => crypto.subtle.exportKey('pkcs8', agent.identity.pair.privateKey).catch((error) => error.name)"
        )

        assert "InvalidAccessError" == stolen
        assert did == await visitor.did()
        assert re.fullmatch(r"did:key:z6Mk\w{44}", did)
