"""
Echo: an agent that answers whatever it is told, and another one that tells it something.

Run it while `./dev up` runs: python examples/echo.py [nats://127.0.0.1:4222]
"""

import asyncio
import sys

from aiconexus.protocol.bodies import Message
from aiconexus.sdk import Agent, Delivery, Identity

KEYS = ".aiconexus/agents"


async def main(url: str) -> None:
    """Ask three times and print what comes back."""
    echo = Agent(Identity.load_or_create(f"{KEYS}/echo.key"), url, name="echo")

    @echo.on("MESSAGE")
    async def answer(delivery: Delivery) -> None:
        await delivery.reply(delivery.content)

    async with echo, Agent(Identity.load_or_create(f"{KEYS}/caller.key"), url, name="caller") as caller:
        for text in ("hello", "is anybody there?", "good bye"):
            reply = await caller.request(echo.did, Message(content=text), timeout=10)
            print(f"{reply.sender[-6:]} signed: {reply.content}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
