"""The other end of an edge's WebSocket, for tests: an agent without the SDK, which says what it is told to say."""

import asyncio
from typing import Any

import aiohttp
import msgspec

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol import text
from aiconexus.protocol.bodies import Body, Challenge, MailItem, PlatformInfo, Register
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Letter, Sealed, compose, split, unseal

BINARY, TEXT = "aiconexus.v1", "ioap.v1"
FRAME_MAX_BYTES = 4 * REPLY_MAX_BYTES
ANSWER_SECONDS = 10.0


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A binary frame: with its place in the mailbox, if it comes from there."""

    codec: int
    payload: bytes
    signature: bytes
    sequence: int | None = None
    previous: int | None = None


class SocketAgent:
    """
    An agent on a WebSocket, that can be told to misbehave.

    Args:
        key: Its own.
        socket: Its connection.

    """

    def __init__(self, key: SigningKey, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.key = key
        self.socket = socket
        self.codec = Codec.JSON if socket.protocol == TEXT else Codec.MSGPACK
        self.nonce = ""
        self.services: dict[str, str] = {}
        self.place: Place | MailItem | None = None

    @property
    def did(self) -> str:
        """Its name."""
        return self.key.did

    async def greet(self) -> None:
        """Read the CHALLENGE."""
        challenge = (await self.next()).body
        assert isinstance(challenge, Challenge)
        platform = unseal(challenge.platform).body
        assert isinstance(platform, PlatformInfo)
        self.nonce, self.services = challenge.nonce, platform.services

    def registration(self, **fields: Any) -> bytes:
        """The REGISTER that the edge wants, with fields of the body replaced."""
        body = Register(**({"public_key": key_text_of(self.did), "challenge": self.nonce} | fields))
        return self.sealed(body, self.services["identity"])

    def sealed(self, body: Body, to: str | None, **fields: Any) -> bytes:
        """An envelope in the codec of the subprotocol, honest unless the fields make it another."""
        defaults: dict[str, Any] = {"id_": new_id(), "now_ms": now_ms(), "codec": self.codec}
        return compose(body, fields.pop("key", self.key), to, **(defaults | fields))

    async def send(self, data: bytes) -> None:
        """Send sealed bytes as the frame that they are in this subprotocol."""
        if self.codec is Codec.MSGPACK:
            await self.socket.send_bytes(data)
        else:
            parts = split(data, len(data))
            await self.socket.send_str(text.frame_of(parts.payload, parts.signature).decode())

    async def exchange(self, data: bytes) -> Letter:
        """Send sealed bytes, and what comes next."""
        await self.send(data)
        return await self.next()

    async def next(self) -> Letter:
        """The next envelope, verified."""
        async with asyncio.timeout(ANSWER_SECONDS):
            message = await self.socket.receive()
        assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
        return self.read(message.data)

    async def ending(self) -> tuple[int, str]:
        """The code and the reason with which the edge closes."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while (message := await self.socket.receive()).type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                pass
        # The library says 1006 if it could not answer a close that it did read.
        code = message.data if message.type is aiohttp.WSMsgType.CLOSE else self.socket.close_code
        return code or 0, str(message.extra or "")

    def read(self, frame: bytes | str) -> Letter:
        """The verified envelope in a frame; its place in the mailbox is kept."""
        return unseal(self._parts(frame), REPLY_MAX_BYTES)

    def _parts(self, frame: bytes | str) -> Sealed:
        self.place = None
        if isinstance(frame, bytes):
            place = msgspec.msgpack.decode(frame, type=Place)
            self.place = place if place.sequence is not None else None
            return Sealed(place.codec, place.payload, place.signature)
        payload, signature, self.place = text.parts_of(frame, FRAME_MAX_BYTES)
        if not signature and self.place is not None:
            return Sealed(self.place.codec, self.place.payload, self.place.signature)
        return Sealed(Codec.JSON, payload, signature)
