"""
Direct: two agents open a WebRTC channel between them, and their mail takes it by itself.

Run it while `./dev up` runs: python examples/direct.py [nats://127.0.0.1:4222 ws://127.0.0.1:8000/ws]
"""

import asyncio
import sys

from aiconexus.sdk import Agent, Delivery, Identity
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.peer import Peer

KEYS = ".aiconexus/agents"
WORDS = ("one", "two", "three")


async def main(nats_url: str, ws_url: str) -> None:
    """Talk through the platform, then past it, then through it again."""
    alice = Agent(Identity.load_or_create(f"{KEYS}/alice.key"), nats_url, name="alice")
    bob = Agent(Identity.load_or_create(f"{KEYS}/bob.key"), ws_url, name="bob")

    @bob.on("MESSAGE")
    async def read(delivery: Delivery) -> None:
        print(f"bob read {delivery.content!r}")

    @bob.on_peer
    def meet(peer: Peer) -> None:
        @peer.on_channel
        async def shout(channel: Channel) -> None:
            async for message in channel:
                await channel.send(message.upper())

    async with bob, alice:
        sent = await alice.send(bob.did, "before")
        print(f"it went by {sent.road}")

        peer = await alice.connect_to(bob.did)
        print(f"connected: {peer.road}, {peer.role}, session {peer.session}")
        sent = await alice.send(bob.did, "meanwhile")
        print(f"it went by {sent.road}")
        await sent.wait_processed(10)

        channel = await peer.open_channel("shout")
        for word in WORDS:
            await channel.send(word)
            print(word, "came back as", await channel.receive())

        await peer.close()
        sent = await alice.send(bob.did, "afterwards")
        print(f"it went by {sent.road}")
        await sent.wait_processed(10)


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or ("nats://127.0.0.1:4222", "ws://127.0.0.1:8000/ws"))))
