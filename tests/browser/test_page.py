"""The page as an agent among others: presence, mail on every road, forgeries, losses and takeovers."""

import asyncio

import pytest
from playwright.async_api import Browser, expect
from tests.browser.visitor import Visitor, visiting
from tests.integration.sdk_agents import Host, listening

from aiconexus.cli.platform import Platform

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
        sent = await agent.send(delivery.sender, "and to you")
        await visitor.see_line("and to you", "signature verified")
        await sent.wait_processed(15)

        assert "good morning" == delivery.content
        assert await visitor.did() == delivery.sender
