"""A page and a Python agent over a WebRTC data channel: who they are is proven, and mail takes it both ways."""

import asyncio

import pytest
from playwright.async_api import Browser, expect
from tests.browser.exchange import Told, exchange
from tests.browser.visitor import SECONDS, Visitor, visiting
from tests.integration.sdk_agents import Host, listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 10_000


async def connect_from_page(visitor: Visitor, did: str) -> None:
    """Press the button."""
    await visitor.choose(did)
    await visitor.page.get_by_role("button", name="Connect directly").click()
    await expect(visitor.page.locator("#road")).to_have_attribute("data-road", "direct", timeout=SECONDS * 1000)


async def test_page_connects(browser: Browser, site: str, edge: str, host: Host) -> None:
    """The button gives a channel; mail takes it both ways and says so, and closing it gives the relay back."""
    agent = host.make("nats", name="peer")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        await connect_from_page(visitor, agent.identity.did)
        await visitor.say("by the short way")
        await visitor.see_line("by the short way", "processed", "direct")
        sent = await agent.send(await visitor.did(), "back by the same")
        await sent.wait_processed(SECONDS)
        await visitor.see_line("back by the same", "direct")
        await expect(visitor.page.locator("#road")).to_contain_text("ms,")
        await visitor.page.get_by_role("button", name="Close channel").click()
        await visitor.say("by the long way")
        await visitor.see_line("by the long way", "processed", "by the relay")

        assert ["by the short way", "by the long way"] == await heard.contents(2)


async def test_python_connects(browser: Browser, site: str, edge: str, host: Host) -> None:
    """An agent offers, the page answers, and each knows the other by its DID."""
    agent = host.make("binary", name="caller")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        did = await visitor.did()
        peer = await agent.connect_to(did)
        await visitor.choose(agent.identity.did)
        await expect(visitor.page.locator("#road")).to_have_attribute("data-road", "direct", timeout=SECONDS * 1000)
        await visitor.say("I hear you")
        await visitor.see_line("I hear you", "processed", "direct")

        assert ("direct", did) == (peer.road, peer.did)
        assert "I hear you" == (await heard.next()).content


async def test_both_connect_at_once(browser: Browser, site: str, edge: str, host: Host) -> None:
    """When both offer, one channel comes of it and both use it."""
    agent = await host.open(host.make("nats"))
    async with visiting(browser, site, edge) as visitor:
        did = await visitor.did()
        ours = asyncio.create_task(agent.connect_to(did))
        theirs = await visitor.run("async ([did]) => (await agent.peers.connect(did)).session", agent.identity.did)

        assert theirs == (await ours).session


async def test_offer_that_came_first_is_the_one(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Who wants a channel while one is being made gets that one, and does not offer another beside it."""
    async with visiting(browser, site, edge) as visitor:
        did = await visitor.did()
        # Of two offers that of the higher DID would count.
        while (agent := host.make("nats")).did < did:
            pass
        await host.open(agent)
        ours = asyncio.create_task(agent.connect_to(did))
        theirs = await visitor.run(
            """async ([did]) => {
                while (!agent.peers.get(did)?.attempt) await new Promise((resolve) => setTimeout(resolve));
                const { session, role } = await agent.peers.connect(did);
                return [session, role];
            }""",
            agent.did,
        )

        assert [(await ours).session, "answerer"] == theirs


async def test_keys_are_replaced_in_use(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Both sides move to a connection with fresh keys while messages flow, and none of them is lost."""
    agent = host.make("nats")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        did = await visitor.did()
        before = (await agent.connect_to(did)).session
        talking = asyncio.create_task(exchange(visitor, agent, heard, 500))
        await agent.rotate_keys()
        told, contents = await talking
        after = await visitor.run("([did]) => agent.peers.get(did).current.session", agent.identity.did)

        assert before != after == agent.peers[did].session
        assert Told(got=500, processed=500, in_order=True, roads=["direct"], refused=[]) == told
        assert list(range(500)) == contents


async def test_lost_channel_is_healed(browser: Browser, site: str, edge: str, host: Host) -> None:
    """When the channel dies the relay carries on at once, and a new channel comes by itself."""
    agent = host.make("nats")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        await connect_from_page(visitor, agent.identity.did)
        await visitor.run("([did]) => agent.peers.get(did).current.channel.close()", agent.identity.did)
        await visitor.say("are we still in touch?")
        await visitor.see_line("are we still in touch?", "processed")
        await expect(visitor.page.locator("#road")).to_have_attribute("data-road", "direct", timeout=SECONDS * 1000)
        await visitor.say("and now?")
        await visitor.see_line("and now?", "processed", "direct")

        assert ["are we still in touch?", "and now?"] == await heard.contents(2)


@pytest.mark.browser
async def test_ten_thousand_each_way(browser: Browser, site: str, edge: str, host: Host) -> None:
    """Ten thousand messages each way at once: verified, in order, none lost or doubled, none by the relay."""
    agent = host.make("nats")
    heard = listening(agent)
    await host.open(agent)
    async with visiting(browser, site, edge) as visitor:
        await connect_from_page(visitor, agent.identity.did)
        told, contents = await exchange(visitor, agent, heard, MANY)

        assert Told(got=MANY, processed=MANY, in_order=True, roads=["direct"], refused=[]) == told
        assert list(range(MANY)) == contents
        assert heard.is_quiet
