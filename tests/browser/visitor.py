"""The page as somebody who uses it: opened in a profile of its own, and asked through what it shows or its console."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from playwright.async_api import Browser, BrowserContext, Page, expect

SECONDS = 30.0
expect.set_options(timeout=SECONDS * 1000)


class Visitor:
    """
    One agent in a browser.

    Args:
        page: Opened and connected.

    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def context(self) -> BrowserContext:
        """Its profile."""
        return self.page.context

    async def run(self, script: str, *arguments: Any, seconds: float = SECONDS) -> Any:
        """Evaluate a function in the page and await what it returns."""
        async with asyncio.timeout(seconds):
            return await self.page.evaluate(script, list(arguments))

    async def did(self) -> str:
        """Who it is."""
        return str(await self.run("() => globalThis.agent.did"))

    async def see_state(self, state: str) -> None:
        """Wait until the page shows a state of its connection."""
        await expect(self.page.locator("#state")).to_have_attribute("data-state", state, timeout=SECONDS * 1000)

    async def choose(self, did: str) -> None:
        """Click on an agent."""
        await self.page.locator(f'[data-did="{did}"]').click()

    async def say(self, text: str) -> None:
        """Write to the agent that was chosen."""
        await self.page.fill("#text", text)
        await self.page.press("#text", "Enter")

    async def see_line(self, text: str, *facts: str) -> None:
        """Wait until the conversation shows a line, and these facts below it."""
        line = self.page.locator("#lines li").filter(has_text=text).last
        for fact in facts:
            await expect(line).to_contain_text(fact, timeout=SECONDS * 1000)


@asynccontextmanager
async def visiting(browser: Browser, site: str, edge: str, *, name: str = "", **query: str) -> AsyncIterator[Visitor]:
    """A visitor for the length of a block, online; the page must not have stumbled at its end."""
    context = await browser.new_context()
    try:
        visitor = Visitor(await context.new_page())
        await visitor.page.goto(f"{site}/page/index.html?{urlencode({'edge': edge, **query})}")
        await visitor.see_state("online")
        if name:
            await visitor.run("([name]) => globalThis.agent.rename(name)", name)
        yield visitor
        assert visitor.complaints == []
    finally:
        await context.close()
