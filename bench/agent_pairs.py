"""Two agents in one process that are connected directly, measured as ``bare`` measures a bare pair."""

import asyncio
import time
from typing import Self

from aiconexus.protocol.bodies import Message
from aiconexus.sdk import Agent, Delivery, Identity
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.direct.signed import SignedChannel
from bench.bare import PING, PONG

RECEIPT_SECONDS = 30.0


class AgentPair:
    """
    Two agents, the first of which connects to the second.

    Args:
        url: The bus.
        direct: Their settings.

    """

    def __init__(self, url: str, direct: Direct) -> None:
        self.one = Agent(Identity.generate(), url, direct=direct)
        self.other = Agent(Identity.generate(), url, direct=direct)
        self._handled = 0
        self._wanted = 0
        self._done = asyncio.Event()
        self._here: Channel
        self._there: Channel
        self._signed_here: SignedChannel
        self._signed_there: SignedChannel
        self.parts: dict[str, list[float]] = {}

    async def __aenter__(self) -> Self:
        self.other.on("MESSAGE")(self._handle)
        await self.one.__aenter__()
        await self.other.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.one.close()
        await self.other.close()

    async def open(self) -> float:
        """Connect; returns the seconds until both HELLOs are verified here."""
        started = time.perf_counter()
        connecting = asyncio.create_task(self.one.connect_to(self.other.did))
        marks: dict[str, float] = {}
        await self._watch(marks)
        await connecting
        ended = time.perf_counter()
        self._note_parts(started, marks, ended)
        return ended - started

    async def close_connection(self) -> None:
        """End the connection at both ends."""
        ends = [peer for peer in (self.one.peer(self.other.did), self.other.peer(self.one.did)) if peer is not None]
        gone = [_gone(peer) for peer in ends]
        await ends[0].close()
        await asyncio.gather(*gone)

    async def open_channels(self) -> None:
        """An application's channel between the two, and one of signed messages."""
        arrived: asyncio.Queue[Channel] = asyncio.Queue()
        one, other = self.one.peer(self.other.did), self.other.peer(self.one.did)
        assert one is not None
        assert other is not None
        other.on_channel(arrived.put_nowait)
        self._here = await one.open_channel("plain")
        self._there = await arrived.get()
        self._signed_here = await one.open_signed_channel("signed")
        self._signed_there = other.signed(await arrived.get())

    async def throughput(self, message: bytes, count: int) -> float:
        """As the bare pair's."""
        return await _throughput(self._here, self._there, message, count)

    async def signed(self, message: bytes, count: int) -> float:
        """Likewise, each message under a signature that the receiver has verified."""
        return await _throughput(self._signed_here, self._signed_there, message, count)

    async def mail(self, message: bytes, count: int) -> float:
        """Envelopes per second, from the first ``post`` to the end of the last handler."""
        self._done.clear()
        self._wanted = self._handled + count
        body = Message(content=message)
        started = time.perf_counter()
        sent = [await self.one.post(self.other.did, body, timeout=0) for _ in range(count)]
        await self._done.wait()
        seconds = time.perf_counter() - started
        # The next round must not pay for the receipts of this one.
        await sent[-1].wait_processed(RECEIPT_SECONDS)
        assert sent[-1].road != "relay", sent[-1].road
        return count / seconds

    async def round_trips(self, count: int) -> list[float]:
        """As the bare pair's."""

        async def answer() -> None:
            for _ in range(count):
                await self._there.receive()
                await self._there.send(PONG)

        answering = asyncio.create_task(answer())
        found = []
        for _ in range(count):
            started = time.perf_counter()
            await self._here.send(PING)
            await self._here.receive()
            found.append(time.perf_counter() - started)
        await answering
        return found

    async def _handle(self, _delivery: Delivery) -> None:
        self._handled += 1
        if self._handled == self._wanted:
            self._done.set()

    async def _watch(self, marks: dict[str, float]) -> None:
        """Note when ICE gets where; the peer is there as soon as the attempt has begun."""
        while (peer := self.one.peer(self.other.did)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        peer.on_ice_state(lambda state: marks.setdefault(str(state), time.perf_counter()))

    def _note_parts(self, started: float, marks: dict[str, float], ended: float) -> None:
        checking = marks.get("checking", started)
        completed = marks.get("completed", ended)
        for name, seconds in (
            ("introduction", checking - started),
            ("ice", completed - checking),
            ("proof", ended - completed),
        ):
            self.parts.setdefault(name, []).append(seconds)


async def _throughput(
    here: Channel | SignedChannel, there: Channel | SignedChannel, message: bytes, count: int
) -> float:
    async def receive() -> None:
        for _ in range(count):
            await there.receive()

    started = time.perf_counter()
    receiving = asyncio.create_task(receive())
    for _ in range(count):
        await here.send(message)
    await receiving
    return count / (time.perf_counter() - started)


def _gone(peer: Peer) -> asyncio.Future[None]:
    """Done when a peer is closed."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(state: str) -> None:
        if state == "closed" and not gone.done():
            gone.set_result(None)

    peer.on_state(note)
    return gone
