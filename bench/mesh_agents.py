"""
Some of the agents of a mesh, in a process of their own; ``bench/mesh.py`` starts several.

Run as ``python -m bench.mesh_agents URL COUNT``. It prints a line of JSON for each that it reads: first who its agents
are, then what it was told to do and how that went.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import psutil
import uvloop

from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk import Agent, Delivery, Identity
from aiconexus.sdk.delivery import Sent
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.mesh import Mesh, MeshSettings
from aiconexus.sdk.topology import k_neighbour
from bench.bare import BarePair

DIRECT = Direct(
    ice_servers=(), report=False, heartbeat_seconds=5.0, dead_seconds=20.0, connect_seconds=60.0, rotate_seconds=0.0
)
"""A thousand connections on two cores: their heartbeats must leave something for the messages."""
AT_ONCE = 3
"""Connections that an agent opens at a time."""
PROCESSED_SECONDS = 120.0
SIZE = 256


class Host:
    """
    The agents of this process.

    Args:
        url: The platform.
        count: How many.

    """

    def __init__(self, url: str, count: int) -> None:
        self.agents = [Agent(Identity.generate(), url, direct=DIRECT) for _ in range(count)]
        self.meshes: list[Mesh] = []
        self.latencies_ms: list[float] = []
        self.ids: set[str] = set()
        self.doubled = 0
        for agent in self.agents:
            agent.on("MESSAGE")(self.hear)

    async def hear(self, delivery: Delivery) -> None:
        """Note how long it took."""
        sent_ns, _ = delivery.content
        self.latencies_ms.append((time.time_ns() - sent_ns) / 1e6)
        self.doubled += delivery.id in self.ids
        self.ids.add(delivery.id)

    async def open(self) -> list[str]:
        """Start all."""
        for agent in self.agents:
            await agent.__aenter__()
        return [agent.did for agent in self.agents]

    async def join(self, *, members: list[str], k: int, seed: int, ttl: int, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109
        """Have all take part, and wait until they have their neighbours."""
        topology = k_neighbour(members, k, seed=seed)
        # Absent agents are those that start late; presence tells of the dead.
        settings = MeshSettings(ttl=ttl, at_once=AT_ONCE, gone_seconds=2.0, absent_seconds=600.0, tune_seconds=0.0)
        self.meshes = [agent.mesh(topology, settings) for agent in self.agents]
        began = time.perf_counter()
        await asyncio.gather(*(mesh.start() for mesh in self.meshes))
        found = await self._complete(began, timeout)
        failed = [
            incident for agent in self.agents for incident in agent.incidents(event="connection_failed", limit=1000)
        ]
        return {
            **found,
            "rss_mb": _resident_mb(),
            "failed": len(failed),
            "why": Counter(each.detail for each in failed),
        }

    async def send(self, *, members: list[str], count: int, rate: float, seed: int) -> dict[str, Any]:
        """Each agent sends to random members, at a rate."""
        self.latencies_ms.clear()
        self.ids.clear()
        busy, began = _busy_seconds(), time.perf_counter()
        sent = [each for some in await asyncio.gather(
            *(self._send(agent, members, count, rate, seed) for agent in self.agents)
        ) for each in some]  # fmt: skip
        offered = time.perf_counter() - began
        done = await asyncio.gather(*(_is_processed(each) for each in sent))
        return {
            "sent": len(sent),
            "processed": sum(done),
            "seconds": offered,
            "roads": Counter(each.road for each in sent),
            "cpu": (_busy_seconds() - busy) / (time.perf_counter() - began) / len(self.agents),
            "rss_mb": _resident_mb(),
        }

    async def heal(self, *, gone: list[str], killed_at: float, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109
        """Wait until all have closed the gap that some have left."""
        async with asyncio.timeout(timeout):
            for mesh in self.meshes:
                while not mesh.status.gone.issuperset(gone):
                    await mesh.wait_changed()
        noticed = time.time() - killed_at
        return {
            **await self._complete(time.perf_counter(), timeout),
            "noticed": noticed,
            "healed": time.time() - killed_at,
        }

    def heard(self) -> dict[str, Any]:
        """What came."""
        tallies = Counter[str]()
        for mesh in self.meshes:
            tallies.update(msgspec.structs.asdict(mesh.status.tally))
        return {
            "received": len(self.ids),
            "doubled": self.doubled,
            "latencies_ms": self.latencies_ms,
            "tally": tallies,
        }

    async def _complete(self, began: float, seconds: float) -> dict[str, Any]:
        async def complete(mesh: Mesh) -> bool:
            try:
                await mesh.wait_complete(seconds)
            except TimeoutError:
                return False
            return True

        whole = await asyncio.gather(*(complete(mesh) for mesh in self.meshes))
        return {
            "seconds": time.perf_counter() - began,
            "whole": sum(whole),
            "wanted": sum(len(mesh.status.wanted) for mesh in self.meshes),
            "open": sum(len(mesh.status.open & mesh.status.wanted) for mesh in self.meshes),
        }

    async def _send(self, agent: Agent, members: Sequence[str], count: int, rate: float, seed: int) -> list[Sent]:
        """The first comes at a random time within the first interval."""
        chance = random.Random(f"{seed} {agent.did}")
        others = [did for did in members if did != agent.did]
        start = time.perf_counter() + chance.random() / rate
        sent = []
        for number in range(count):
            await asyncio.sleep(max(start + number / rate - time.perf_counter(), 0))
            content = [time.time_ns(), "x" * SIZE]
            sent.append(await agent.send(chance.choice(others), content, timeout=0))
        return sent


async def open_bare(*, count: int, at_once: int) -> dict[str, int]:
    """Open so many pairs of the stack's connections, with nothing of ours."""
    room = asyncio.Semaphore(at_once)
    pairs = []

    async def open_one() -> None:
        async with room:
            pair = BarePair()
            pairs.append(pair)
            await pair.open()

    await asyncio.gather(*(open_one() for _ in range(count)))
    return {"open": count}


async def _is_processed(sent: Sent) -> bool:
    try:
        await sent.wait_processed(PROCESSED_SECONDS)
    except AiconexusError:
        return False
    return True


def _resident_mb() -> float:
    return psutil.Process().memory_info().rss / 2**20


def _busy_seconds() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


async def serve(url: str, count: int) -> None:
    """Do what the lines of the standard input say, one after the other."""
    host = Host(url, count)
    _print({"dids": await host.open(), "rss_mb": _resident_mb()})
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, options = msgspec.json.decode(line)
        match word:
            case "bare":
                _print(await open_bare(**options))
            case "join":
                _print(await host.join(**options))
            case "send":
                _print(await host.send(**options))
            case "heal":
                _print(await host.heal(**options))
            case "heard":
                _print(host.heard())
    os._exit(0)


def _print(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
