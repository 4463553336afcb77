"""
Fan-out: one message to everybody who has a capability, one to any of them, and a report of whom it did not reach.

One of the listeners is clumsy; what it fails at comes again from the retry service until it succeeds.
Run it while `./dev up` runs: python examples/fanout.py [nats://127.0.0.1:4222]
"""

import asyncio
import sys
from contextlib import AsyncExitStack

from aiconexus.sdk import Agent, Delivery, Identity, RetryPolicy

KEYS = ".aiconexus/agents"
LISTENERS = 4
TOPIC = "news.example/listen"
PATIENCE = RetryPolicy(max_retries=5, initial_delay_seconds=0.2, max_delay_seconds=2)


def listener(number: int, url: str) -> Agent:
    """An agent that reads news; the first one needs two attempts."""
    agent = Agent(
        Identity.load_or_create(f"{KEYS}/listener-{number}.key"), url, name=f"listener-{number}", capabilities=[TOPIC]
    )
    attempts: dict[str, int] = {}

    @agent.on("MESSAGE", retry=PATIENCE)
    async def read(delivery: Delivery) -> None:
        attempts[delivery.id] = attempts.get(delivery.id, 0) + 1
        if number == 0 and attempts[delivery.id] == 1:
            raise RuntimeError("dropped my glasses")
        print(f"listener-{number} read {delivery.content!r} at attempt {attempts[delivery.id]}")

    return agent


async def main(url: str) -> None:
    """Spread the news."""
    async with AsyncExitStack() as stack:
        for number in range(LISTENERS):
            await stack.enter_async_context(listener(number, url))
        editor = await stack.enter_async_context(
            Agent(Identity.load_or_create(f"{KEYS}/editor.key"), url, name="editor")
        )
        report = await editor.broadcast("tea is ready", capability=TOPIC)
        for sent in report.stored.values():
            await sent.wait_processed(20)
        print(f"broadcast: {report}")

        nobody = Identity.generate().did
        report = await editor.send_many([nobody, *report.stored], "milk, too")
        for sent in report.stored.values():
            await sent.wait_processed(20)
        print(f"to many: {report}")
        for error in report.failed.values():
            print(f"why not: {error}")

        sent = await editor.send_to(TOPIC, "you, wash up")
        await sent.wait_processed(20)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
