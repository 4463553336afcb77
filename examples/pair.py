"""
Pair: two agents on different roads count to ten together, each answering the other.

One is connected natively to NATS, the other over a WebSocket in JSON, as a browser would be.
Run it while `./dev up` runs: python examples/pair.py [nats://127.0.0.1:4222 ws://127.0.0.1:8000/ws]
"""

import asyncio
import sys

from aiconexus.sdk import Agent, Delivery, Identity, Notice

KEYS = ".aiconexus/agents"
LAST = 10


async def main(nats_url: str, ws_url: str) -> None:
    """Let them count."""
    left = Agent(Identity.load_or_create(f"{KEYS}/left.key"), nats_url, name="left")
    right = Agent(Identity.load_or_create(f"{KEYS}/right.key"), ws_url, name="right", subprotocol="ioap.v1")
    counted = asyncio.Event()

    async def count(delivery: Delivery) -> None:
        number = delivery.content["number"]
        print(f"{'left ' if delivery.sender == right.did else 'right'} got {number}")
        if number < LAST:
            await delivery.reply({"number": number + 1})
        else:
            counted.set()

    left.on("MESSAGE")(count)
    right.on("MESSAGE")(count)

    @left.on_receipt
    def note(notice: Notice) -> None:
        print(f"      {notice.id[-6:]} is {notice.status}")

    async with left, right:
        first = await left.send(right.did, {"number": 1})
        await first.wait_processed(10)
        async with asyncio.timeout(30):
            await counted.wait()


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or ("nats://127.0.0.1:4222", "ws://127.0.0.1:8000/ws"))))
