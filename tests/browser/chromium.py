"""A real Chromium, driven by Playwright: Debian's package, an empty profile, nothing that calls home."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Where no multicast reaches, names instead of addresses would make every direct connection fail.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)


def lacking() -> str:
    """Why no browser can run here; empty if one can."""
    return "" if shutil.which("chromium") else "chromium is not installed; it is Debian's package of this name"


@asynccontextmanager
async def started() -> AsyncIterator[Browser]:
    """A browser for the length of a block; each of its contexts is a profile of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()
