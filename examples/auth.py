"""
Auth: a vault that only one caller may write to, whose key lies encrypted on disk, and what a stranger gets.

There are no tokens and no passwords between agents: who says something is whose signature it carries.
Run it while `./dev up` runs: python examples/auth.py [ws://127.0.0.1:8000/ws]
"""

import asyncio
import sys
from typing import Any

from aiconexus.protocol.bodies import ExecRequest, Policy
from aiconexus.protocol.errors import InvalidKeyFile, RemoteProblem
from aiconexus.sdk import Agent, Delivery, Identity

KEYS = ".aiconexus/agents"
PASSPHRASE = "an example, so no secret"  # noqa: S105


async def main(url: str) -> None:
    """Let the friend in and the stranger stand outside."""
    friend_identity = Identity.load_or_create(f"{KEYS}/friend.key")
    vault_identity = Identity.load_or_create(f"{KEYS}/vault.key", passphrase=PASSPHRASE)
    try:
        Identity.load(f"{KEYS}/vault.key", passphrase="a guess")  # noqa: S106
    except InvalidKeyFile as error:
        print(f"without the passphrase: {error.reason}")

    # The relay keeps everybody else's mail out before the vault ever sees it.
    vault = Agent(vault_identity, url, name="vault", policy=Policy.LISTED, callers=[friend_identity.did])

    @vault.on(ExecRequest)
    async def open_up(delivery: Delivery) -> dict[str, Any]:
        return {"opened_for": delivery.sender}

    async with (
        vault,
        Agent(friend_identity, url, name="friend") as friend,
        Agent(Identity.generate(), url, name="stranger") as stranger,
    ):
        result = await friend.call(vault.did, timeout=10)
        print(f"the friend: opened for {result['opened_for'][-6:]}")
        try:
            await stranger.call(vault.did, timeout=10)
        except RemoteProblem as error:
            print(f"the stranger: {error}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8000/ws"))
