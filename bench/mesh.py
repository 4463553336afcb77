"""
A mesh of real agents: how long it takes until all have their neighbours, what it delivers, weighs, and how it heals.

`./dev bench mesh [--agents 100] [--k 20] [--json]` starts the platform (nats-server, identity, relay, signaling) and
the agents: ten in a process of their own, the others in a process for each core. First all processes at once open as
many bare pairs of aiortc's peer connections as the mesh will have connections, both ends in one process and the
descriptions handed over in memory. Then each agent has WebRTC channels with k others, and sends its messages to random
members, over three channels at most: a hundred each in five minutes. Then the process with ten agents is killed.

- `mesh.connections`, `mesh.connected_share`: channels that are open, and of those that the topology wants.
- `mesh.attempts_share`: connections for each attempt of either end to have one.
- `mesh.seconds`: from the start of the meshes until the last agent has its last channel; `mesh.bare_seconds` until the
  last bare pair is open; `mesh.open_ratio` is the former over the latter, for as many connections.
- `mesh.delivered_share`: messages whose handler has run and whose sender has the signed receipt.
- `mesh.p50_ms`, `mesh.p95_ms`: from `agent.send` to the recipient's handler.
- `mesh.mb_per_agent`, `mesh.cpu_per_agent`: resident memory, and share of a core while messages are sent.
- `mesh.heal_seconds`: from the kill until every survivor knows who is gone and has its new neighbours;
  `mesh.notice_seconds` until it knows.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from aiconexus.cli.platform import Platform
from bench.mesh_agents import AT_ONCE

KILLED = 10
"""Agents that die together; at most half of all."""
SEED = 7
TTL = 3
PATIENCE_SECONDS = 600.0
ROOT = Path(__file__).parents[1]
QUIET = {
    "AICONEXUS_RELAY_LOG_LEVEL": "warning",
    "AICONEXUS_SIGNALING_LOG_LEVEL": "warning",
    "AICONEXUS_IDENTITY_LOG_LEVEL": "warning",
}
CLAIMS = {
    "mesh.connections": "1001 claimed",
    "mesh.seconds": "8.45 claimed, < 10",
    "mesh.delivered_share": "0.9936 claimed, 1",
    "mesh.p95_ms": "142.7 claimed, < 150",
    "mesh.mb_per_agent": "62.4 claimed, < 100",
    "mesh.cpu_per_agent": "< 0.10",
}


class Worker:
    """One process with agents."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.dids: list[str] = []

    @classmethod
    async def start(cls, url: str, count: int) -> "Worker":
        """Start it, and wait until its agents are online."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.mesh_agents", url, str(count)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=64 * 1024 * 1024,
        )
        worker = cls(process)
        worker.dids = (await worker.read())["dids"]
        return worker

    async def read(self) -> dict[str, Any]:
        """What it says next."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            found: dict[str, Any] = msgspec.json.decode(await self.process.stdout.readline())
            return found

    async def do(self, word: str, **options: Any) -> dict[str, Any]:
        """Have it do something, and wait for the result."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode((word, options)) + b"\n")
        return await self.read()

    async def kill(self) -> None:
        """End it without a word."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def all_do(workers: list[Worker], word: str, **options: Any) -> list[dict[str, Any]]:
    """Have all do the same at once."""
    return await asyncio.gather(*(worker.do(word, **options) for worker in workers))


def shares(agents: int, processes: int) -> list[int]:
    """How many agents each process has: first those that are to be killed, then the others, spread evenly."""
    killed = min(KILLED, agents // 2)
    each, more = divmod(agents - killed, processes)
    return [killed, *(each + (number < more) for number in range(processes))]


async def bare(url: str, sizes: list[int], connections: float) -> dict[str, float]:
    """The limit: as many pairs of the stack's connections, in as many processes without agents."""
    async with AsyncExitStack() as stack:
        workers = []
        for _ in sizes:
            workers.append(await Worker.start(url, 0))
            stack.push_async_callback(workers[-1].kill)
        began = time.perf_counter()
        found = await asyncio.gather(*(
            worker.do("bare", count=round(connections * size / sum(sizes)), at_once=AT_ONCE * size)
            for worker, size in zip(workers, sizes, strict=True)
        ))  # fmt: skip
        seconds = time.perf_counter() - began
    return {"mesh.bare_connections": sum(each["open"] for each in found), "mesh.bare_seconds": seconds}


async def joined(workers: list[Worker], k: int) -> dict[str, float]:
    """From agents to a mesh."""
    members = [did for worker in workers for did in worker.dids]
    began = time.perf_counter()
    found = await all_do(workers, "join", members=members, k=k, seed=SEED, ttl=TTL, timeout=PATIENCE_SECONDS / 2)
    opened, failed = sum(each["open"] for each in found) / 2, sum(each["failed"] for each in found)
    return {
        "mesh.agents": len(members),
        "mesh.seconds": time.perf_counter() - began,
        "mesh.connections": opened,
        "mesh.attempts_share": opened / (opened + failed),
        "mesh.connected_share": sum(each["open"] for each in found) / sum(each["wanted"] for each in found),
        "mesh.mb_per_agent": sum(each["rss_mb"] for each in found) / len(members),
    }


async def delivered(workers: list[Worker], count: int, rate: float, name: str) -> dict[str, float]:
    """Every agent sends."""
    members = [did for worker in workers for did in worker.dids]
    found = await all_do(workers, "send", members=members, count=count, rate=rate, seed=SEED)
    heard = await all_do(workers, "heard")
    latencies = sorted(latency for each in heard for latency in each["latencies_ms"])
    roads = sum((Counter(each["roads"]) for each in found), Counter[str]())
    sent = sum(each["sent"] for each in found)
    tally = sum((Counter(each["tally"]) for each in heard), Counter[str]())
    return {
        f"{name}.sent": sent,
        f"{name}.delivered_share": sum(each["processed"] for each in found) / sent,
        f"{name}.doubled": sum(each["doubled"] for each in heard),
        f"{name}.p50_ms": statistics.median(latencies),
        f"{name}.p95_ms": latencies[int(len(latencies) * 0.95)],
        f"{name}.p99_ms": latencies[int(len(latencies) * 0.99)],
        f"{name}.direct_share": roads["direct"] / sent,
        f"{name}.over_others_share": roads["mesh"] / sent,
        f"{name}.by_relay_share": roads["relay"] / sent,
        f"{name}.handed_on": tally["handed_on"],
        f"{name}.stranded": tally["stranded"],
        f"{name}.cpu_per_agent": statistics.mean(each["cpu"] for each in found),
        f"{name}.mb_per_agent": sum(each["rss_mb"] for each in found) / len(members),
    }


async def healed(workers: list[Worker]) -> dict[str, float]:
    """One process is killed."""
    killed, left = workers[0], workers[1:]
    killed_at = time.time()
    await killed.kill()
    found = await all_do(left, "heal", gone=killed.dids, killed_at=killed_at, timeout=PATIENCE_SECONDS / 2)
    return {
        "mesh.killed": len(killed.dids),
        "mesh.notice_seconds": max(each["noticed"] for each in found),
        "mesh.heal_seconds": max(each["healed"] for each in found),
        "mesh.healed_share": sum(each["open"] for each in found) / sum(each["wanted"] for each in found),
    }


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Everything, from the platform to the figures."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aiconexus-bench-")))
        services = ("identity", "relay", "signaling")
        platform = await stack.enter_async_context(Platform(home / "home", services=services, settings=QUIET))
        sizes = shares(options.agents, options.processes)
        figures = {"mesh.processes": float(len(sizes))}
        figures |= await bare(platform.endpoints().nats, sizes, options.agents * options.k / 2)
        workers: list[Worker] = []
        for count in sizes:
            workers.append(await Worker.start(platform.endpoints().nats, count))
            stack.push_async_callback(workers[-1].kill)
        figures |= await joined(workers, options.k)
        per_bare = figures["mesh.bare_seconds"] / figures["mesh.bare_connections"]
        figures["mesh.open_ratio"] = figures["mesh.seconds"] / figures["mesh.connections"] / per_bare
        figures |= await delivered(workers, options.messages, options.rate, "mesh")
        figures |= await healed(workers)
        figures |= await delivered(workers[1:], options.messages_after, options.rate, "after")
        return figures


def table(figures: dict[str, float]) -> str:
    """For people."""
    return "\n".join(f"{name:28} {value:12.3f}  {CLAIMS.get(name, '')}" for name, value in figures.items())


def main() -> None:
    """Print the figures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100, help="how many")
    parser.add_argument("--k", type=int, default=20, help="neighbours of each")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="beside the one that is killed; one for each core"
    )
    parser.add_argument("--messages", type=int, default=100, help="of each agent")
    parser.add_argument("--messages-after", type=int, default=10, help="of each survivor")
    parser.add_argument("--rate", type=float, default=1 / 3, help="messages of each agent in a second")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments))
    if arguments.json:
        print(msgspec.json.encode({name: round(value, 4) for name, value in figures.items()}).decode())
    else:
        print(table(figures))


if __name__ == "__main__":
    main()
