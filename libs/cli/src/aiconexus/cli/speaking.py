"""Become an agent for the length of one command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.home import Home
from aiconexus.cli.options import platform_url
from aiconexus.protocol.errors import BusUnavailable, LoginRefused, Refused
from aiconexus.sdk import Agent, Identity

CONNECT_SECONDS = 6.0
REASON_CHARACTERS = 200


def agent_of(home: Path, url: str | None, identity: Path | None, name: str = "cli") -> Agent:
    """
    The agent as which a command speaks.

    Args:
        home: Of the platform; its `agents` folder holds the key if no other is given.
        url: Of the platform, if not the one that runs in the home.
        identity: A key file; made if it is the default one.
        name: Of the default key file.

    Raises:
        Failure: If there is no platform, or its URL is none.
        InvalidKeyFile: If the key file cannot be used.

    """
    address = platform_url(url, home)
    who = Identity.load(identity) if identity else Identity.load_or_create(Home(home).agents / f"{name}.key")
    try:
        return Agent(who, address, name=name, connect_timeout=CONNECT_SECONDS)
    except ValueError as error:
        raise Failure(str(error), Exit.USAGE) from error


@asynccontextmanager
async def connected(agent: Agent) -> AsyncIterator[Agent]:
    """
    An agent that is online.

    Raises:
        Failure: If the platform cannot be reached, or another process speaks as this agent.

    """
    failed: asyncio.Future[BusUnavailable] = asyncio.get_running_loop().create_future()

    def note(error: Exception) -> None:
        # Agents try for ever; a person wants to know at once.
        if isinstance(error, BusUnavailable) and not failed.done():
            failed.set_result(error)

    agent.on_error(note)
    try:
        await agent.start()
        await _first_of(agent, failed)
    except LoginRefused as error:
        await agent.close()
        sentence = f"the platform does not let this key in: it was revoked, or identity is away ({agent.identity.path})"
        raise Failure(sentence, Exit.REFUSED) from error
    except BusUnavailable as error:
        await agent.close()
        reason = error.reason.partition("\n")[0][:REASON_CHARACTERS]
        raise Failure(f"the platform does not answer: {reason}", Exit.UNREACHABLE) from error
    except Refused as error:
        await agent.close()
        raise Failure(f"{error.reason} (key file {agent.identity.path})", Exit.REFUSED) from error
    try:
        yield agent
    finally:
        await agent.close()


async def _first_of(agent: Agent, failed: "asyncio.Future[BusUnavailable]") -> None:
    online = asyncio.ensure_future(agent.wait_online(CONNECT_SECONDS))
    either: set[asyncio.Future[Any]] = {online, failed}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if online.done():
        online.result()
        return
    online.cancel()
    raise failed.result()
