"""
The other end of the wire, in the hands of a test: an edge that says what no honest platform would say.

It holds the keys of three services, keeps a mailbox that the test fills, and writes down what it was told.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import (
    Ack,
    Acked,
    AgentCard,
    Agents,
    Body,
    Challenge,
    Fetch,
    Mail,
    MailItem,
    PlatformInfo,
    Receipt,
    ReceiptItem,
    ReceiptStatus,
    Register,
    Registered,
    Resolve,
)
from aiconexus.protocol.closing import Close
from aiconexus.protocol.job_bodies import JobState, Return, Scheduled
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Letter, compose, split, unseal

SECONDS = 10.0


def sealed(key: SigningKey, body: Body, to: str | None, **fields: Any) -> bytes:
    """A sealed envelope."""
    defaults: dict[str, Any] = {"id_": new_id(), "now_ms": now_ms(), "limit": REPLY_MAX_BYTES}
    return compose(body, key, to, **(defaults | fields))


class Wire:
    """A platform of one edge; the attributes say how it behaves."""

    def __init__(self) -> None:
        self.identity, self.relay, self.edge = new_key(), new_key(), new_key()
        self.retry: SigningKey | None = None
        """Set for a platform that has such a service; it keeps silent unless ``takes_returns``."""
        self.takes_returns = True
        self.returned: asyncio.Queue[Return] = asyncio.Queue()
        self.challenger = self.edge
        self.storer = self.relay
        self.heartbeat_seconds = 0.0
        self.answers_pings = True
        self.drops: int = 0
        """How many submitted envelopes it takes and closes the connection on, without an answer."""
        self.connections = 0
        self.acked: asyncio.Queue[int] = asyncio.Queue()
        self.fetched: list[int] = []
        self.cards: dict[str, AgentCard] = {}
        """Whom its registry knows."""
        self.asked: list[tuple[str, ...]] = []
        """Whose cards were asked for, a question each."""
        self.submitted: asyncio.Queue[Letter] = asyncio.Queue()
        self.registered: asyncio.Queue[Register] = asyncio.Queue()
        self.url = ""
        self._mailbox: dict[int, MailItem] = {}
        self._socket: web.WebSocketResponse | None = None

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection."""
        self._socket = socket = web.WebSocketResponse(protocols=["aiconexus.v1"])
        await socket.prepare(request)
        self.connections += 1
        platform = sealed(self.identity, PlatformInfo(services=self._services), None)
        await socket.send_bytes(sealed(self.challenger, Challenge(nonce="nonce", platform=platform), None))
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await self._hear(socket, unseal(message.data))
        return socket

    def keep(self, data: bytes, sequence: int) -> None:
        """Put sealed bytes into the agent's mailbox, without telling."""
        parts = split(data, len(data))
        item = MailItem(sequence=sequence, codec=parts.codec, payload=parts.payload, signature=parts.signature)
        self._mailbox[sequence] = item

    async def push(self, data: bytes, sequence: int, previous: int) -> None:
        """Put sealed bytes into the agent's mailbox, and tell."""
        self.keep(data, sequence)
        parts = split(data, len(data))
        await self.say(msgspec.msgpack.encode((parts.codec, parts.payload, parts.signature, sequence, previous)))

    async def say(self, data: bytes) -> None:
        """Send a frame."""
        assert self._socket is not None
        await self._socket.send_bytes(data)

    async def next_submitted(self, type_: str = "") -> Letter:
        """The next envelope that the agent had stored, of a type."""
        async with asyncio.timeout(SECONDS):
            while True:
                letter = await self.submitted.get()
                if type_ in ("", letter.envelope.type):
                    return letter

    async def next_receipt(self, status: ReceiptStatus) -> ReceiptItem:
        """The next line of a receipt of the agent with this status."""
        while True:
            body = (await self.next_submitted("RECEIPT")).body
            assert isinstance(body, Receipt)
            for item in body.items:
                if item.status is status:
                    return item

    async def acked_up_to(self, sequence: int) -> None:
        """Wait until the agent has done with everything up to an entry."""
        async with asyncio.timeout(SECONDS):
            while await self.acked.get() < sequence:
                pass

    async def _hear(self, socket: web.WebSocketResponse, letter: Letter) -> None:
        envelope, body = letter.envelope, letter.body
        if envelope.recipient not in self._services.values():
            self.submitted.put_nowait(letter)
            if self.drops:
                self.drops -= 1
                await socket.close(code=Close.GOING_AWAY)
                return
            stored = ReceiptItem(id=envelope.id, status=ReceiptStatus.STORED, sequence=1)
            await self._answer(letter, self.storer, Receipt(items=(stored,)))
            return
        match body:
            case Register():
                self.registered.put_nowait(body)
                expires_ms = now_ms() + 300_000
                answer = Registered(
                    session="s", expires_ms=expires_ms, heartbeat_seconds=self.heartbeat_seconds, limits={}
                )
                await self._answer(letter, self.identity, answer)
            case Fetch():
                self.fetched.append(body.after)
                items = [item for sequence, item in sorted(self._mailbox.items()) if sequence > body.after]
                page = Mail(items=tuple(items[: body.limit]), pending=max(0, len(items) - body.limit))
                await self._answer(letter, self.relay, page)
            case Ack():
                self._mailbox = {sequence: item for sequence, item in self._mailbox.items() if sequence > body.upto}
                self.acked.put_nowait(body.upto)
                await self._answer(letter, self.relay, Acked(upto=body.upto))
            case Resolve():
                self.asked.append(body.dids)
                cards = tuple(self.cards[did] for did in body.dids if did in self.cards)
                await self._answer(letter, self.identity, Agents(agents=cards))
            case Return():
                self.returned.put_nowait(body)
                if self.takes_returns and self.retry is not None:
                    await self._answer(letter, self.retry, Scheduled(job="z6Mk.a", state=JobState.WAITING))

    @property
    def _services(self) -> dict[str, str]:
        keys = {"identity": self.identity, "relay": self.relay, "edge": self.edge, "retry": self.retry}
        return {name: key.did for name, key in keys.items() if key is not None}

    async def _answer(self, letter: Letter, key: SigningKey, body: Body) -> None:
        envelope = letter.envelope
        await self.say(sealed(key, body, envelope.sender, in_reply_to=envelope.id))


@asynccontextmanager
async def serving(wire: Wire) -> AsyncIterator[Wire]:
    """Serve on a free port for the length of a block."""
    application = web.Application()
    application.router.add_get("/ws", wire.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    wire.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield wire
    finally:
        await runner.cleanup()
