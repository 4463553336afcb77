"""Pairs of peer connections of the WebRTC stack with nothing of ours: what the direct path is measured against."""

import asyncio
import time
from collections.abc import Sequence

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
)

LOW_BYTES = 64 * 1024
HIGH_BYTES = 1024 * 1024
"""A sender goes on below the first and pauses above the second."""
PING, PONG = b"?", b"!"


class BarePair:
    """
    Two peer connections in one process, with one channel between them.

    Args:
        servers: What the stack may use; with any, only what is relayed is used.

    """

    def __init__(self, servers: Sequence[RTCIceServer] = ()) -> None:
        configuration = RTCConfiguration(
            iceServers=list(servers),
            iceTransportPolicy=RTCIceTransportPolicy.RELAY if servers else RTCIceTransportPolicy.ALL,
            bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
        )
        self.one, self.other = RTCPeerConnection(configuration), RTCPeerConnection(configuration)
        self.here: RTCDataChannel
        self.there: RTCDataChannel

    async def open(self) -> float:
        """
        Connect them.

        Returns:
            Seconds until the channel is open at both ends.

        """
        opened, arrived = asyncio.Event(), asyncio.Event()
        started = time.perf_counter()

        def arrive(channel: RTCDataChannel) -> None:
            self.there = channel
            arrived.set()

        self.here = self.one.createDataChannel("bare")
        self.here.on("open", opened.set)
        self.other.on("datachannel", arrive)
        await self.one.setLocalDescription(await self.one.createOffer())
        await self.other.setRemoteDescription(self.one.localDescription)
        await self.other.setLocalDescription(await self.other.createAnswer())
        await self.one.setRemoteDescription(self.other.localDescription)
        await opened.wait()
        await arrived.wait()
        return time.perf_counter() - started

    async def throughput(self, message: bytes, count: int) -> float:
        """
        Send so many messages one way.

        Returns:
            Messages per second, from the first that is sent to the last that arrives.

        """
        done, room, arrived = asyncio.Event(), asyncio.Event(), 0

        def take(_message: bytes) -> None:
            nonlocal arrived
            arrived += 1
            if arrived == count:
                done.set()

        self.there.on("message", take)
        self.here.bufferedAmountLowThreshold = LOW_BYTES
        self.here.on("bufferedamountlow", room.set)
        started = time.perf_counter()
        for _ in range(count):
            if self.here.bufferedAmount > HIGH_BYTES:
                room.clear()
                await room.wait()
            self.here.send(message)
        await done.wait()
        seconds = time.perf_counter() - started
        self.there.remove_listener("message", take)
        self.here.remove_listener("bufferedamountlow", room.set)
        return count / seconds

    async def round_trips(self, count: int) -> list[float]:
        """How long a small message and its answer take, in seconds, one after the other."""
        answered = asyncio.Event()

        def answer(_message: bytes) -> None:
            self.there.send(PONG)

        def note(_message: bytes) -> None:
            answered.set()

        self.there.on("message", answer)
        self.here.on("message", note)
        found = []
        for _ in range(count):
            answered.clear()
            started = time.perf_counter()
            self.here.send(PING)
            await answered.wait()
            found.append(time.perf_counter() - started)
        self.there.remove_listener("message", answer)
        self.here.remove_listener("message", note)
        return found

    async def close(self) -> None:
        """End both."""
        await asyncio.gather(self.one.close(), self.other.close())
