"""A service with nothing to do, which the tests of ``process`` start as a process."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk
from aiconexus.runtime.process import run
from aiconexus.runtime.settings import ServiceSettings


class ProbeSettings(ServiceSettings, frozen=True, kw_only=True):
    """How it shall behave."""

    mood: Literal[
        "good", "starts slowly", "crashes", "dies later", "stops slowly", "misconfigured", "careless", "loses its bus"
    ] = "good"


@asynccontextmanager
async def start(context: Context[ProbeSettings]) -> AsyncIterator[None]:
    """Serve PING, and behave as told."""
    mood = context.settings.mood
    if mood == "starts slowly":
        context.log.info("relay.start_delayed")
        await asyncio.Event().wait()
    if mood == "crashes":
        raise RuntimeError("no luck")
    if mood == "misconfigured":
        raise SettingsError(["the http port is taken"])
    async with asyncio.TaskGroup() as tasks, Desk(context):
        if mood == "dies later":
            tasks.create_task(_die())
        if mood == "careless":
            asyncio.get_running_loop().call_soon(_raise)
        if mood == "loses its bus":
            await context.session.close()
        yield
        context.log.info("relay.left", connected=context.session.is_connected)
        if mood == "stops slowly":
            await asyncio.Event().wait()


async def _die() -> None:
    raise RuntimeError("a task died")


def _raise() -> None:
    raise RuntimeError("nobody awaits this")


if __name__ == "__main__":
    run(sys.argv[1], ProbeSettings, start)
