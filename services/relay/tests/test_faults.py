import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.seal import unseal

from .world import Agent, World, letters

PATIENCE_SECONDS = 40


class Traffic:
    """
    Agents that hand envelopes over, one at a time each, and again until they are answered.

    ``accepted`` maps what relay said it has stored to its place.
    """

    def __init__(self, world: World, senders: list[Agent], recipient: Agent) -> None:
        self._world = world
        self._senders = senders
        self._recipient = recipient
        self._running = True
        self.accepted: dict[str, dict[str, int]] = {sender.did: {} for sender in senders}
        self.tries = 0
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Traffic for the length of the block; at its end everything under way is answered."""
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            for sender in self._senders:
                tasks.create_task(self._send(sender))
            yield
            self._running = False

    async def more(self, count: int) -> None:
        """Wait until so many more were accepted."""
        until = self.count + count
        async with self._news:
            await self._news.wait_for(lambda: self.count >= until)

    @property
    def count(self) -> int:
        """How many were accepted."""
        return sum(len(accepted) for accepted in self.accepted.values())

    async def _send(self, sender: Agent) -> None:
        number = 0
        while self._running:
            number += 1
            data = sender.mail(self._recipient, number)
            self.accepted[sender.did][unseal(data).envelope.id] = await self._insist(sender, data)
            async with self._news:
                self._news.notify_all()

    async def _insist(self, sender: Agent, data: bytes) -> int:
        while True:
            self.tries += 1
            try:
                return (await sender.submit(data, 2.0)).sequence or 0
            except (BusError, AssertionError):
                await asyncio.sleep(0.05)

    async def check(self) -> None:
        """Everything accepted is in the mailbox, once, where relay said, in each sender's order."""
        found: dict[str, list[tuple[str, int]]] = {}
        after, pending = 0, 1
        while pending:
            page = await self._recipient.fetch(after)
            for item, letter in zip(page.items, letters(page), strict=True):
                found.setdefault(letter.envelope.sender, []).append((letter.envelope.id, item.sequence))
            after, pending = page.items[-1].sequence, page.pending
        assert found == {sender: list(accepted.items()) for sender, accepted in self.accepted.items()}


async def traffic(world: World) -> Traffic:
    """Four senders and one recipient."""
    senders = [await world.agent() for _ in range(4)]
    return Traffic(world, senders, await world.agent())


async def test_a_crash_of_the_server_loses_nothing(world: World) -> None:
    """What was answered with ``stored`` around a SIGKILL of nats-server is there, once and in order."""
    async with world.relay(mailbox_max_envelopes=100_000):
        flow = await traffic(world)
        async with flow.flowing():
            for _ in range(2):
                await flow.more(100)
                await world.server.kill()
                await world.server.start()
            await flow.more(100)
        await flow.check()


async def test_two_replicas_share_the_work(world: World) -> None:
    """When one of two replicas goes in order under traffic, nothing is lost, doubled or out of order."""
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        await first.enter_async_context(world.relay("r1", mailbox_max_envelopes=100_000))
        await stack.enter_async_context(world.relay("r2", mailbox_max_envelopes=100_000))
        flow = await traffic(world)
        async with flow.flowing():
            await flow.more(100)
            await first.aclose()
            await flow.more(100)
        await flow.check()

    # Leaving in order, the first answered everything that it had taken.
    assert flow.count == flow.tries


def environ(world: World, home: Path) -> dict[str, str]:
    """What the process of a relay is given."""
    seed, directory = home / "relay.seed", home / "directory.json"
    if not seed.exists():
        seed.touch(0o600)
        seed.write_text(seed_text(Kind.USER, world.keys["relay"].seed) + "\n")
        directory.write_bytes(msgspec.json.encode({"services": world.directory.services}))
    settings = {
        "NATS_URLS": world.server.url,
        "SEED_FILE": str(seed),
        "DIRECTORY_FILE": str(directory),
        "METRICS_PORT": "0",
        "LOG_LEVEL": "warning",
        "MAILBOX_MAX_ENVELOPES": "100000",
        "LEASE_SECONDS": "2",
    }
    return os.environ | {f"AICONEXUS_RELAY_{name}": value for name, value in settings.items()}


async def process(world: World, home: Path) -> asyncio.subprocess.Process:
    """A relay as it runs in production."""
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "aiconexus.relay", env=environ(world, home))


async def test_a_crash_of_relay_loses_nothing(world: World, tmp_path: Path) -> None:
    """What was answered with ``stored`` survives the SIGKILL of the process that said it; SIGTERM ends one in order."""
    relay = await process(world, tmp_path)
    flow = await traffic(world)
    async with flow.flowing():
        await flow.more(100)
        relay.kill()
        await relay.wait()
        relay = await process(world, tmp_path)
        await flow.more(100)
    await flow.check()
    relay.terminate()
    async with asyncio.timeout(10):
        code = await relay.wait()

    assert code == 0
