"""
What live connections cost in memory, in processes of their own.

Run as ``python -m bench.peer_memory ROLE URL``: `others` is many agents that wait to be connected to and says who they
are, `hub` reads that and connects to them, `bare` opens pairs without any of ours. They print JSON.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import aiortc  # noqa: F401 - its code is no part of what a connection costs
import msgspec
import psutil
import uvloop

from aiconexus.sdk import Agent, Identity
from aiconexus.sdk.direct.settings import Direct
from bench.bare import BarePair

FEW, MANY = 10, 100
BARE_PAIRS = 25
AT_ONCE = 4
SETTLE_SECONDS = 1.0
ROOT = Path(__file__).parents[1]
DIRECT = Direct(ice_servers=())


async def memory_of_agents(url: str) -> dict[str, float]:
    """What a connection costs an agent that has 10, and 100."""
    others = await _started("others", url)
    assert others.stdin is not None
    assert others.stdout is not None
    dids = await others.stdout.readline()
    hub = await _started("hub", url)
    found, _ = await hub.communicate(dids)
    others.stdin.close()
    await others.wait()
    resident = msgspec.json.decode(found, type=list[float])
    return {
        "memory.mb_per_peer_at_10": (resident[1] - resident[0]) / FEW,
        "memory.mb_per_peer_at_100": (resident[2] - resident[0]) / MANY,
        "memory.agent_mb": resident[0],
        "memory.agent_mb_at_100": resident[2],
    }


async def memory_of_bare_pairs() -> dict[str, float]:
    """What a bare connection costs."""
    process = await _started("bare", "")
    found, _ = await process.communicate()
    resident = msgspec.json.decode(found, type=list[float])
    return {"memory.bare_mb_per_peer": (resident[1] - resident[0]) / (2 * BARE_PAIRS)}


async def _started(role: str, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.peer_memory", role, url),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1024 * 1024,
    )


def _resident_mb() -> float:
    return psutil.Process().memory_info().rss / 2**20


async def be_others(url: str) -> None:
    """Wait to be connected to, until nobody wants us any more."""
    agents = [Agent(Identity.generate(), url, direct=DIRECT) for _ in range(MANY)]
    for agent in agents:
        await agent.__aenter__()
    _print([agent.did for agent in agents])
    await asyncio.to_thread(sys.stdin.read)
    # Whoever has 100 connections takes a while to say goodbye to each.
    os._exit(0)


async def be_hub(url: str) -> None:
    """Connect to everybody, and say what we weigh without a connection, with 10, and with 100."""
    dids = msgspec.json.decode(sys.stdin.readline(), type=list[str])
    async with Agent(Identity.generate(), url, direct=DIRECT) as agent:
        weights = [_resident_mb()]
        for share in (dids[:FEW], dids[FEW:]):
            await _connect_all(agent, share)
            await asyncio.sleep(SETTLE_SECONDS)
            weights.append(_resident_mb())
        _print(weights)
        os._exit(0)


async def be_bare() -> None:
    """The same with the stack alone: without a pair, and with some."""
    weights = [_resident_mb()]
    pairs = [BarePair() for _ in range(BARE_PAIRS)]
    for pair in pairs:
        await pair.open()
    await asyncio.sleep(SETTLE_SECONDS)
    _print([*weights, _resident_mb()])
    os._exit(0)


async def _connect_all(agent: Agent, dids: Sequence[str]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def connect(did: str) -> None:
        async with room:
            await agent.connect_to(did, timeout=30.0)

    await asyncio.gather(*(connect(did) for did in dids))


def _print(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """Be one of them."""
    role, url = sys.argv[1:]
    uvloop.run({"others": lambda: be_others(url), "hub": lambda: be_hub(url), "bare": be_bare}[role]())


if __name__ == "__main__":
    main()
