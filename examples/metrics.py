"""
Metrics: an agent that Prometheus can scrape, and what it counts of its direct connections.

Run it while `./dev up` runs: python examples/metrics.py [nats://127.0.0.1:4222]
"""

import asyncio
import sys
from urllib.request import urlopen

from prometheus_client import start_http_server

from aiconexus.sdk import Agent, Identity

KEYS = ".aiconexus/agents"
SHOWN = ("webrtc_peers{", "webrtc_peer_connections_active", "webrtc_messages_sent_total")


def scrape(port: int) -> list[str]:
    """What Prometheus would get."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text: str = answer.read().decode()
    return text.splitlines()


async def main(url: str) -> None:
    """Connect two agents, and look at the counts on the way."""
    server, _ = start_http_server(0, addr="127.0.0.1")  # the one line that it takes; 0 is any free port
    alice = Agent(Identity.load_or_create(f"{KEYS}/alice.key"), url, name="alice")
    bob = Agent(Identity.load_or_create(f"{KEYS}/bob.key"), url, name="bob")
    async with alice, bob:
        peer = await alice.connect_to(bob.did)
        channel = await peer.open_channel("chat")
        await channel.send("hello")
        lines = await asyncio.to_thread(scrape, server.server_port)
        print(*(line for line in lines if line.startswith(SHOWN)), sep="\n")
    server.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] or ("nats://127.0.0.1:4222",))))
