"""
Pool: workers offer the same capability, and whoever has work finds them and spreads it.

A worker that fails is replaced by the next one, so one of them is made to fail.
Run it while `./dev up` runs: python examples/pool.py [nats://127.0.0.1:4222]
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.sdk import Agent, Identity

KEYS = ".aiconexus/agents"
WORKERS = 4
CAPABILITY = "pool.example/count-words"
TEXTS = ("tea for two", "a cup of tea, please", "milk?", "no milk, thank you very much") * 5


def worker(number: int, url: str) -> Agent:
    """An agent that counts words; the first one does not manage to."""
    agent = Agent(Identity.load_or_create(f"{KEYS}/worker-{number}.key"), url, name=f"worker-{number}")

    @agent.capability(CAPABILITY)
    def count(args: dict[str, Any]) -> dict[str, Any]:
        if number == 0:
            raise RuntimeError("out of order")
        return {"words": len(args["text"].split()), "by": f"worker-{number}"}

    return agent


async def work_out(boss: Agent, pool: list[str], number: int) -> dict[str, Any]:
    """Give one text to the worker whose turn it is, or to the one after it."""
    for attempt in range(len(pool)):
        did = pool[(number + attempt) % len(pool)]
        try:
            result: dict[str, Any] = await boss.call(
                did, capability=CAPABILITY, args={"text": TEXTS[number]}, timeout=10
            )
        except (RemoteProblem, NotAcknowledged) as error:
            print(f"{did[-6:]}: {error}")
        else:
            return result
    raise RuntimeError("no worker is left")


async def main(url: str) -> None:
    """Have all texts counted."""
    async with AsyncExitStack() as stack:
        for number in range(WORKERS):
            await stack.enter_async_context(worker(number, url))
        boss = await stack.enter_async_context(Agent(Identity.load_or_create(f"{KEYS}/boss.key"), url, name="boss"))
        pool = [card.did async for card in boss.discover(capability=CAPABILITY, online=True)]
        results = await asyncio.gather(*(work_out(boss, pool, number) for number in range(len(TEXTS))))
        for name in sorted({result["by"] for result in results}):
            print(f"{name} counted {sum(result['by'] == name for result in results)} texts")
        print(f"{sum(result['words'] for result in results)} words in {len(results)} texts")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
