"""
How fast an edge lets agents in, and what each of them costs.

Real identity, relay, edge and nats-server on loopback. One load process opens WebSockets and goes through the whole
handshake, CHALLENGE, signed REGISTER, REGISTERED, so many at a time; all stay connected. Memory is the growth of the
edge process divided by the agents.

``./dev bench edge [--json] [--agents 2000] [--window 64]``
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import uvloop

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Challenge, Register
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import compose, peek, read_body, split

WARM_UP = 100
SPARE_FILES = 512
SETTLE_SECONDS = 2.0
MASK = bytes(4)
"""RFC 6455 section 5.3 wants chance here, for the sake of proxies that this load never meets."""


class Agent(asyncio.Protocol):
    """A WebSocket client that can do the handshake and nothing else: the machine belongs to the edge."""

    def __init__(self, key: SigningKey, platform: str, host: str) -> None:
        self._key = key
        self._platform = platform
        self._host = host
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None
        self.registered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: aiconexus.v1\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take responses and frames apart."""
        self._buffer += data
        if not self._is_open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._is_open, self._buffer = True, rest
        while (frame := self._frame()) is not None:
            self._hear(frame)

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody may be sent away."""
        if not self.registered.done():
            self.registered.set_exception(error or ConnectionResetError("closed before REGISTERED"))

    def close(self) -> None:
        """Leave without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        size, start = buffer[1], 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[start : start + size] if buffer[0] == 0x82 else b""

    def _hear(self, frame: bytes) -> None:
        if not frame:
            return
        sealed = split(frame)
        envelope = peek(sealed)
        body = read_body(envelope, sealed.codec)
        if isinstance(body, Challenge):
            register = Register(public_key=key_text_of(self._key.did), challenge=body.nonce, name="bench")
            data = compose(register, self._key, self._platform, id_=new_id(), now_ms=now_ms())
            assert self._transport is not None
            self._transport.write(b"\x82\xfe" + len(data).to_bytes(2, "big") + MASK + data)
        elif envelope.type == "REGISTERED":
            self.registered.set_result(None)
        else:
            self.registered.set_exception(AssertionError(str(body)))


class Load:
    """Agents that connect, so many at a time."""

    def __init__(self, platform: str, host: str, port: int) -> None:
        self._platform = platform
        self._host = host
        self._port = port
        self.agents: list[Agent] = []
        self.seconds: list[float] = []

    async def connect(self, keys: list[SigningKey], window: int) -> float:
        """Connect one agent for each key; the seconds that all took."""
        waiting = iter(keys)
        self.seconds.clear()
        started = time.perf_counter()
        await asyncio.gather(*(self._work(waiting) for _ in range(window)))
        return time.perf_counter() - started

    async def leave(self) -> None:
        """Disconnect everybody."""
        for agent in self.agents:
            agent.close()
        self.agents.clear()
        await asyncio.sleep(SETTLE_SECONDS)

    async def _work(self, keys: Iterator[SigningKey]) -> None:
        loop = asyncio.get_running_loop()
        for key in keys:
            started = time.perf_counter()
            _, agent = await loop.create_connection(
                lambda key=key: Agent(key, self._platform, f"{self._host}:{self._port}"),  # type: ignore[misc]
                self._host,
                self._port,
            )
            await agent.registered
            self.seconds.append(time.perf_counter() - started)
            self.agents.append(agent)


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


async def measure(agents: int, window: int) -> dict[str, float]:
    """Run the platform and the load."""
    keys = [SigningKey(os.urandom(32)) for _ in range(agents)]
    strangers = [SigningKey(os.urandom(32)) for _ in range(WARM_UP)]
    settings = {"AICONEXUS_EDGE_MAX_CONNECTIONS": str(agents + WARM_UP), "AICONEXUS_EDGE_LOG_LEVEL": "warning"}
    with tempfile.TemporaryDirectory() as folder:
        async with Platform(Path(folder) / "home", settings=settings) as platform:
            endpoints = platform.endpoints()
            host, port = endpoints.http.removeprefix("http://").split(":")
            load = Load(endpoints.platform, host, int(port))
            await load.connect(strangers, window)
            await load.leave()
            await load.connect(strangers, 1)
            alone = sorted(load.seconds)
            await load.leave()
            edge = psutil.Process(platform.pids["edge"])
            before = edge.memory_info().rss
            cpu_before = sum(edge.cpu_times()[:2])
            seconds = await load.connect(keys, window)
            cpu = sum(edge.cpu_times()[:2]) - cpu_before
            await asyncio.sleep(SETTLE_SECONDS)
            assert all(agent.registered.done() for agent in load.agents)
            grown = edge.memory_info().rss - before
            return {
                "edge.connects_per_s": round(agents / seconds, 1),
                f"edge.kb_per_agent_{agents}": round(grown / 1024 / agents, 2),
                "edge.handshake_p50_ms": round(percentile(load.seconds, 0.5) * 1000, 2),
                "edge.handshake_p99_ms": round(percentile(load.seconds, 0.99) * 1000, 2),
                "edge.handshake_alone_p50_ms": round(percentile(alone, 0.5) * 1000, 2),
                "edge.handshake_cpu_us": round(cpu / agents * 1e6, 1),
            }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--agents", type=int, default=2000)
    parser.add_argument("--window", type=int, default=64, help="handshakes at the same time")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < arguments.agents + SPARE_FILES:
        sys.exit(f"{arguments.agents} agents need {arguments.agents + SPARE_FILES} open files, the limit is {hard}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(arguments.agents, arguments.window))
    for name, value in figures.items():
        print(f"{name:32} {value:>10}")
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
