"""
Two peers without a platform: real connections of the stack, and as many one after the other as a test wants.

A link in between passes on each datagram, unless it is told to lose or slow them down.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiortc import RTCDataChannel, RTCPeerConnection, RTCSctpTransport, RTCSessionDescription

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.frames import CHANNEL_ID, LABEL, Word, read_word, write_word
from aiconexus.sdk.direct.bandwidth import BandwidthMode
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.channels import PeerChannels
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.direct.stack import create_channel, has_stream, make_stack

SECONDS = 20.0
HELLO = "hello"
LOWER, HIGHER = "did:key:a", "did:key:b"


class Wire:
    """One end of a connection."""

    def __init__(self, did: str, session: str, role: str) -> None:
        self.did = did
        self.session = session
        self.role = role
        self.road = "direct"
        self.pc: RTCPeerConnection = make_stack((), relay_only=False, on_broken=lambda reason: None)
        self.system: RTCDataChannel = self.pc.createDataChannel(LABEL, negotiated=True, id=CHANNEL_ID)

    @property
    def sctp(self) -> RTCSctpTransport:
        """The association."""
        assert self.pc.sctp is not None
        return self.pc.sctp

    def raw(self, id_: int) -> RTCDataChannel:
        """The data channel of a stream."""
        return self.sctp._data_channels[id_]


class Host:
    """A peer as its channels see it."""

    def __init__(self, own_did: str, did: str, settings: Direct) -> None:
        self.own_did = own_did
        self.did = did
        self.settings = settings
        self.wire: Wire | None = None
        self.incidents: list[tuple[str, str]] = []
        self.opened: asyncio.Queue[Channel] = asyncio.Queue()
        self.mute: Callable[[Word], bool] = lambda word: False
        self.modes: list[BandwidthMode] = []
        self.channels = PeerChannels(self, self.modes.append)

    def open_raw(self, label: str, config: DataChannelConfig) -> RTCDataChannel:
        """Create a data channel."""
        if self.wire is None:
            raise ChannelClosed(label)
        return create_channel(self.wire.pc, label, config)

    def send_word(self, word: Word) -> None:
        """Say a word, unless it is muted."""
        if self.wire is None:
            raise ChannelClosed(LABEL)
        if not self.mute(word):
            self.wire.system.send(write_word(word))

    def is_taken(self, id_: int) -> bool:
        """Whether the stack has it."""
        return self.wire is not None and has_stream(self.wire.pc, id_)

    def note_foreign(self, event: str, detail: str) -> None:
        """Keep it for the test."""
        self.incidents.append((event, detail))

    def note_channel(self, channel: Channel) -> None:
        """Keep it for the test."""
        self.opened.put_nowait(channel)

    def use(self, wire: Wire) -> None:
        """Attach a connection."""
        self.wire = wire
        self.channels.attach(wire)

    def drop(self, session: str) -> None:
        """Detach a connection."""
        if self.wire is not None and self.wire.session == session:
            self.wire = None
        self.channels.detach(session)

    def prepare(self, wire: Wire) -> "asyncio.Future[None]":
        """Greet when the connection stands, attach it when the other side has greeted, and hear words from then on."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hear(text: str) -> None:
            if text == HELLO:
                self.use(wire)
                ready.set_result(None)
            else:
                self.channels.word(wire, read_word(text))

        wire.system.on("open", lambda: wire.system.send(HELLO))
        wire.system.on("message", hear)
        wire.pc.on("datachannel", lambda raw: self.channels.incoming(wire, raw))
        return ready


class Bed:
    """Two hosts, and what connects them."""

    def __init__(self, settings: Direct) -> None:
        self.a = Host(LOWER, HIGHER, settings)
        self.b = Host(HIGHER, LOWER, settings)
        self.wires: dict[str, tuple[Wire, Wire]] = {}
        self.links: list[Link] = []

    async def connect(self, session: str = "1", *, link: "Link | None" = None) -> None:
        """Make a connection, and have both sides use it."""
        one, other = Wire(HIGHER, session, "offerer"), Wire(LOWER, session, "answerer")
        self.wires[session] = one, other
        ready = self.a.prepare(one), self.b.prepare(other)
        await one.pc.setLocalDescription(await one.pc.createOffer())
        offer = one.pc.localDescription.sdp
        if link is not None:
            self.links.append(link)
            offer = await link.stand_for_offerer(offer)
        await other.pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await other.pc.setLocalDescription(await other.pc.createAnswer())
        answer = other.pc.localDescription.sdp
        if link is not None:
            answer = await link.stand_for_answerer(answer)
        await one.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*ready)

    async def disconnect(self, session: str) -> None:
        """End a connection on both sides."""
        one, other = self.wires.pop(session)
        self.a.drop(session)
        self.b.drop(session)
        await asyncio.gather(one.pc.close(), other.pc.close())

    async def open(self, label: str = "chat", config: Any = None) -> tuple[Channel, Channel]:
        """Open a channel from a to b."""
        ours = await self.a.channels.open_channel(label, config)
        theirs = await self.b.opened.get()
        return ours, theirs

    async def close(self) -> None:
        """End everything."""
        self.a.channels.close("over")
        self.b.channels.close("over")
        for session in tuple(self.wires):
            await self.disconnect(session)
        for link in self.links:
            await link.close()


@asynccontextmanager
async def bedded(
    settings: Direct | None = None, *, connected: bool = True, link: "Link | None" = None
) -> AsyncIterator[Bed]:
    """A bed whose first connection stands."""
    bed = Bed(settings or Direct())
    try:
        async with asyncio.timeout(SECONDS * 3):
            if connected:
                await bed.connect(link=link)
            yield bed
    finally:
        await bed.close()


class _Port(asyncio.DatagramProtocol):
    """Stands for an end, in the eyes of the other one."""

    def __init__(self, link: "Link", index: int) -> None:
        self.link = link
        self.index = index
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if addr == self.link.ends[1 - self.index]:
            self.link.carry(self.index, data)


class Link:
    """
    A network between two ends, in this process.

    Args:
        loss: The share of datagrams that disappear.
        bytes_per_second: What passes in each direction; None is no limit.
        queue_bytes: What may wait for it; the rest disappears, as in a router.
        seed: Of the losses.

    """

    def __init__(
        self,
        *,
        loss: float = 0.0,
        bytes_per_second: float | None = None,
        queue_bytes: int = 64 * 1024,
        seed: int = 1,
    ) -> None:
        self.loss = loss
        self.bytes_per_second = bytes_per_second
        self.is_cut = False
        self.ends: list[Any] = [None, None]
        self.carried = [0, 0]
        self.lost = 0
        self._queue_bytes = queue_bytes
        self._free_at = [0.0, 0.0]
        self._random = random.Random(seed)
        self._ports: list[_Port] = []

    async def stand_for_offerer(self, sdp: str) -> str:
        """The offer, with our address in place of the offerer's."""
        return await self._stand_for(0, sdp)

    async def stand_for_answerer(self, sdp: str) -> str:
        """The answer, likewise."""
        return await self._stand_for(1, sdp)

    def carry(self, to: int, data: bytes) -> None:
        """Bring a datagram to an end, or not."""
        if self.is_cut or self._random.random() < self.loss:
            self.lost += 1
            return
        delay = self._delay(to, len(data))
        if delay is None:
            self.lost += 1
        elif delay <= 0.0:
            self._deliver(to, data)
        else:
            asyncio.get_running_loop().call_later(delay, self._deliver, to, data)

    async def close(self) -> None:
        """Close the ports."""
        self.is_cut = True
        for port in self._ports:
            port.transport.close()
            await port.closed

    def _delay(self, to: int, size: int) -> float | None:
        if self.bytes_per_second is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        begin = max(now, self._free_at[to])
        if (begin - now) * self.bytes_per_second > self._queue_bytes:
            return None
        self._free_at[to] = begin + size / self.bytes_per_second
        return self._free_at[to] - now

    def _deliver(self, to: int, data: bytes) -> None:
        if not self.is_cut and len(self._ports) > 1:
            self.carried[to] += len(data)
            self._ports[1 - to].transport.sendto(data, self.ends[to])

    async def _stand_for(self, index: int, sdp: str) -> str:
        """Take the place of an end: what its peer sends to our port goes there."""
        found = re.search(r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", sdp, re.MULTILINE)
        assert found is not None
        loop = asyncio.get_running_loop()
        _, port = await loop.create_datagram_endpoint(lambda: _Port(self, index), local_addr=(found[1], 0))
        self.ends[index] = found[1], int(found[2])
        self._ports.append(port)
        number = port.transport.get_extra_info("sockname")[1]
        line = f"a=candidate:1 1 udp 2130706431 {found[1]} {number} typ host"
        lines = [each for each in sdp.splitlines() if not each.startswith("a=candidate:")]
        at = next(i for i, each in enumerate(lines) if each.startswith("a=end-of-candidates"))
        return "\r\n".join([*lines[:at], line, *lines[at:]]) + "\r\n"
