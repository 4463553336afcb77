"""A link that loses what agents ask, with or without the connection: it stands before an edge and throws dice."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web

HANDSHAKE_FRAMES = 1
"""REGISTER always passes: the link loses requests, not connections."""


class LossyLink:
    """
    The link.

    Args:
        url: Of the edge.
        rate: Share of the frames that it loses.
        cut: Share of those with which it loses the connection, too; the others vanish without a trace.
        seed: Of its dice.

    """

    def __init__(self, url: str, rate: float, *, cut: float, seed: int) -> None:
        self.url = ""
        self.passed = self.lost = self.cuts = 0
        self._edge = url
        self._rate = rate
        self._cut = cut
        self._dice = random.Random(seed)
        self._hears = True

    def __str__(self) -> str:
        return f"{self.lost} of {self.lost + self.passed} frames, {self.cuts} of them with the connection"

    @property
    def share(self) -> float:
        """What it has lost."""
        return self.lost / (self.lost + self.passed)

    def deafen(self) -> None:
        """Bring nothing back any more, not even the end."""
        self._hears = False

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection."""
        protocol = request.headers["Sec-WebSocket-Protocol"]
        near = web.WebSocketResponse(protocols=[protocol], max_msg_size=0)
        await near.prepare(request)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._edge, protocols=[protocol], max_msg_size=0) as far,
        ):
            back = asyncio.create_task(self._bring_back(far, near))
            count = 0
            async for message in near:
                count += 1
                if count <= HANDSHAKE_FRAMES:
                    await _send(far, message)
                    continue
                if self._dice.random() >= self._rate:
                    self.passed += 1
                    await _send(far, message)
                    continue
                self.lost += 1
                if self._dice.random() < self._cut:
                    self.cuts += 1
                    break
            back.cancel()
            await near.close(code=WSCloseCode.GOING_AWAY)
        return near

    async def _bring_back(self, far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse) -> None:
        async for message in far:
            if self._hears:
                await _send(near, message)
        if self._hears:
            await near.close(code=far.close_code or 1001)


async def _send(target: aiohttp.ClientWebSocketResponse | web.WebSocketResponse, message: aiohttp.WSMessage) -> None:
    if message.type is WSMsgType.BINARY:
        await target.send_bytes(message.data)
    elif message.type is WSMsgType.TEXT:
        await target.send_str(message.data)


@asynccontextmanager
async def lossy(url: str, rate: float, *, cut: float, seed: int) -> AsyncIterator[LossyLink]:
    """A link for the length of a block."""
    link = LossyLink(url, rate, cut=cut, seed=seed)
    application = web.Application()
    application.router.add_get("/ws", link.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
    link.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    try:
        yield link
    finally:
        await site.stop()
        await runner.cleanup()
