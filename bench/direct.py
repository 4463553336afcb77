"""
How much of the WebRTC stack's speed is left when agents connect by it, and how long connecting takes.

`./dev bench direct [--json]` starts the platform (nats-server, identity, relay, signaling) and, where it is installed,
coturn. Two agents in this process connect, beside a bare pair of aiortc's peer connections in the same process and
event loop (uvloop), so that both pay for both ends. Rounds alternate; each figure is the median of its rounds.

- `direct.open_ratio`: from `connect_to` to `connected`, both HELLOs verified, over the bare pair's time until its
  channel is open at both ends, where both descriptions are handed over in memory.
- `direct.throughput_ratio`: `channel.send` on an application's channel over the bare channel's `send`; the lesser of
  the ratios of messages per second at 1 KB and of bytes per second at 64 KB.
- `direct.signed_ratio`: messages of 1 KB through a channel of signed messages (`peer.open_signed_channel`: ordinary
  signed envelopes, in which messages that wait together share a signature; the receiver has verified each before it
  reads it), over the bare channel at 1 KB.
- `direct.mail_ratio`: what `agent.post` makes of it, which keeps each envelope in the journals of both ends until it
  was handled: an envelope and a signature for each message of 1 KB, through the system channel, to the end of the
  handler, over the bare channel at 1 KB.
- `turn.*`: likewise, both sides through coturn by UDP, under the relay-only policy.
- `memory.*`: what one more connection costs an agent with 10 and with 100 of them, and a bare one.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from aiortc import RTCIceServer
from tests.turn.coturn import Coturn, lacking

from aiconexus.cli.platform import Platform
from aiconexus.protocol.signal_bodies import IceServer
from aiconexus.sdk.direct.settings import Direct
from bench.agent_pairs import AgentPair
from bench.bare import BarePair
from bench.peer_memory import memory_of_agents, memory_of_bare_pairs

OPENINGS = 20
ROUNDS = 5
SMALL, SMALL_COUNT = 1024, 4000
LARGE, LARGE_COUNT = 64 * 1024, 120
MAIL_COUNT = 300
TRIPS = 300
ROAD_SECONDS = 180.0
"""A road that does not come to an end by then never will."""
QUIET_LIMITS = {
    "AICONEXUS_RELAY_LOG_LEVEL": "warning",
    "AICONEXUS_SIGNALING_LOG_LEVEL": "warning",
    "AICONEXUS_SIGNALING_QUESTION_RATE_PER_SECOND": "1000",
    "AICONEXUS_SIGNALING_QUESTION_BURST": "1000",
}
AIMS = {
    "direct.open_ratio": "<= 2.5",
    "direct.throughput_ratio": ">= 0.9",
    "direct.signed_ratio": ">= 0.5",
    "turn.open_ratio": "<= 2.5",
    "turn.throughput_ratio": ">= 0.9",
    "turn.signed_ratio": ">= 0.5",
}

Measured = Callable[[], Awaitable[float]]


async def openings(pair: AgentPair, servers: Sequence[RTCIceServer]) -> dict[str, float]:
    """In turn, a bare pair and ours; the first of each warms up."""
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(OPENINGS + 1):
        plain = BarePair(servers)
        bare.append(await plain.open())
        await plain.close()
        ours.append(await pair.open())
        await pair.close_connection()
    bare, ours = bare[1:], ours[1:]
    return {
        "open_ratio": statistics.median(ours) / statistics.median(bare),
        "open_p50_ms": statistics.median(ours) * 1e3,
        "open_p99_ms": max(ours) * 1e3,
        **{f"open_{name}_ms": statistics.median(found[1:]) * 1e3 for name, found in pair.parts.items()},
        "bare_open_p50_ms": statistics.median(bare) * 1e3,
        "bare_open_p99_ms": max(bare) * 1e3,
    }


async def speeds(pair: AgentPair, bare: BarePair) -> dict[str, float]:
    """Rounds of each kind in turn; a ratio is the median of those of its rounds."""
    small, large = os.urandom(SMALL), os.urandom(LARGE)
    kinds: dict[str, Measured] = {
        "bare_small": lambda: bare.throughput(small, SMALL_COUNT),
        "small": lambda: pair.throughput(small, SMALL_COUNT),
        "signed": lambda: pair.signed(small, SMALL_COUNT),
        "bare_small_again": lambda: bare.throughput(small, SMALL_COUNT),
        "mail": lambda: pair.mail(small, MAIL_COUNT),
        "bare_large": lambda: bare.throughput(large, LARGE_COUNT),
        "large": lambda: pair.throughput(large, LARGE_COUNT),
        "bare_large_again": lambda: bare.throughput(large, LARGE_COUNT),
    }
    rounds = [{name: await measured() for name, measured in kinds.items()} for _ in range(ROUNDS + 1)][1:]
    trips = await bare.round_trips(TRIPS), await pair.round_trips(TRIPS)
    ratios = {name: _ratio(rounds, name) for name in ("small", "large", "signed", "mail")}
    per_s = {name: statistics.median(each[name] for each in rounds) for name in kinds}
    return {
        "throughput_ratio": min(ratios["small"], ratios["large"]),
        **{f"{name}_ratio": ratio for name, ratio in ratios.items()},
        "messages_per_s": per_s["small"],
        "signed_per_s": per_s["signed"],
        "mail_per_s": per_s["mail"],
        "mb_per_s": per_s["large"] * LARGE / 1e6,
        "bare_messages_per_s": per_s["bare_small"],
        "bare_mb_per_s": per_s["bare_large"] * LARGE / 1e6,
        "rtt_p50_ms": statistics.median(trips[1]) * 1e3,
        "rtt_p95_ms": sorted(trips[1])[int(TRIPS * 0.95)] * 1e3,
        "bare_rtt_p50_ms": statistics.median(trips[0]) * 1e3,
    }


def _ratio(rounds: Sequence[dict[str, float]], name: str) -> float:
    bare = "bare_large" if name == "large" else "bare_small"
    return statistics.median(2 * each[name] / (each[bare] + each[f"{bare}_again"]) for each in rounds)


async def road(name: str, url: str, direct: Direct, servers: Sequence[RTCIceServer] = ()) -> dict[str, float]:
    """Everything about one road."""
    async with asyncio.timeout(ROAD_SECONDS), AgentPair(url, direct) as pair:
        figures = await openings(pair, servers)
        await pair.open()
        await pair.open_channels()
        bare = BarePair(servers)
        await bare.open()
        figures |= await speeds(pair, bare)
        await bare.close()
        return {f"{name}.{key}": value for key, value in figures.items()}


@asynccontextmanager
async def turn_server(home: Path) -> AsyncIterator[Coturn | None]:
    """A coturn, where there is one."""
    if lacking():
        yield None
        return
    async with Coturn(home) as server:
        yield server


def bare_server(server: IceServer) -> RTCIceServer:
    """What the stack calls it."""
    return RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)


async def measure() -> dict[str, float]:
    """Everything, from the platform to the figures."""
    async with AsyncExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="aiconexus-bench-"))
        stack.callback(shutil.rmtree, home)
        turn = await stack.enter_async_context(turn_server(home / "coturn"))
        services = ("identity", "relay", "signaling")
        platform = await stack.enter_async_context(Platform(home / "home", services=services, settings=QUIET_LIMITS))
        url = platform.endpoints().nats
        figures = await road("direct", url, Direct(ice_servers=()))
        if turn is not None:
            server = turn.server("udp", "bench")
            hidden = Direct(ice_servers=(server,), policy="relay")
            figures |= await road("turn", url, hidden, [bare_server(server)])
        figures |= await memory_of_agents(url)
        figures |= await memory_of_bare_pairs()
        return figures


def table(figures: dict[str, float]) -> str:
    """For people."""
    return "\n".join(f"{name:32} {value:12.3f}  {AIMS.get(name, '')}" for name, value in figures.items())


def main() -> None:
    """Print the figures; with --json the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    arguments = parser.parse_args()
    figures: dict[str, Any] = uvloop.run(measure())
    if arguments.json:
        print(msgspec.json.encode({name: round(value, 4) for name, value in figures.items()}).decode())
    else:
        print(table(figures))


if __name__ == "__main__":
    main()
