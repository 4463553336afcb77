"""The page's files and what the tests need beside them, over HTTP on a free port of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

ROOT = Path(__file__).parents[2]
FOLDERS = {"/page": "examples/browser", "/vectors": "libs/protocol/vectors", "/tests": "tests/browser"}


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """The origin of the site, for the length of a block."""
    application = web.Application()
    for prefix, folder in FOLDERS.items():
        application.router.add_static(prefix, ROOT / folder)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
