"""The road through an edge: a WebSocket, binary (``aiconexus.v1``) or text (``ioap.v1``)."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec
from msgspec import Meta

from aiconexus.bus.sockets import notice_silence
from aiconexus.protocol import text
from aiconexus.protocol.bodies import Challenge, Receipt, Watch
from aiconexus.protocol.closing import Close, gives_up
from aiconexus.protocol.errors import (
    AiconexusError,
    BusUnavailable,
    EnvelopeError,
    IdentityError,
    MalformedEnvelope,
    Refused,
    RequestTimedOut,
    TakenOver,
)
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Letter, Sealed, peek, read_body, split, unseal
from aiconexus.sdk.crew import cut_off
from aiconexus.sdk.road import Ask, Greeting, Lost, Push, Sink

BINARY, TEXT = "aiconexus.v1", "ioap.v1"
SUBPROTOCOLS = (BINARY, TEXT)
CONNECT_SECONDS = 10.0
SOCKET_SECONDS = 4.0
"""For the connection alone: a lost SYN is repeated after 1 and 3 seconds (RFC 6298), then a new one is better."""
CLOSE_SECONDS = 2.0
FRAME_MAX_BYTES = 2 * REPLY_MAX_BYTES


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """What a copy from the mailbox adds to the three parts of a sealed envelope."""

    codec: int
    payload: bytes
    signature: bytes
    sequence: Annotated[int, Meta(ge=0)] | None = None
    previous: Annotated[int, Meta(ge=0)] | None = None


_decode_place = msgspec.msgpack.Decoder(_Place).decode


class EdgeRoad:
    """
    See ``Road``.

    Args:
        urls: ``ws://`` or ``wss://`` (``http`` and ``https`` mean the same); the default path is ``/ws``. Of several
            edges of one platform each connection takes the next one.
        subprotocol: ``aiconexus.v1`` or ``ioap.v1``.
        ssl_context: Trusts other authorities than the system's, or brings a client certificate.

    """

    heart: str | None = "edge"

    def __init__(
        self, urls: Sequence[str], subprotocol: str = BINARY, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._urls = tuple(map(websocket_url, urls))
        self._turns = itertools.count()
        self._url = self._urls[0]
        self._subprotocol = subprotocol
        self._ssl = ssl_context
        is_text = subprotocol == TEXT
        self.codec = Codec.JSON if is_text else Codec.MSGPACK
        self.codecs: tuple[int, ...] = (2,) if is_text else (1, 2)
        self.writes: tuple[Codec, ...] = (Codec.JSON,) if is_text else (Codec.MSGPACK, Codec.JSON)
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self.trusted: frozenset[str] = frozenset()
        self._waiting: dict[str, asyncio.Future[Letter]] = {}
        self._lost: asyncio.Future[Lost] | None = None

    async def connect(self, sink: Sink) -> Greeting:
        """Open the socket and read the challenge."""
        self._lost = asyncio.get_running_loop().create_future()
        self._url = self._urls[next(self._turns) % len(self._urls)]
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._handshake(sink)
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise BusUnavailable((self._url,), str(error) or "no answer") from error

    async def request(self, service: str, verb: str, sealed: bytes, id_: str, timeout_seconds: float) -> Letter:
        """Send one frame and await the one that answers it; the edge knows by type and addressee where it goes."""
        del service
        future: asyncio.Future[Letter] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = future
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._send(split(sealed, REPLY_MAX_BYTES))
                return await future
        except TimeoutError as error:
            raise RequestTimedOut(f"{self._url} ({verb})", timeout_seconds) from error
        finally:
            self._waiting.pop(id_, None)

    async def watch(self, dids: tuple[str, ...], ask: Ask) -> None:
        """Ask the edge to tell."""
        await ask(Watch(dids=dids))

    async def wait_lost(self) -> Lost:
        """Wait for the close frame, or the end without one."""
        if self._lost is None:
            return Lost(BusUnavailable((self._url,), "not connected"))
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._socket.close()
            self._socket = None
        if self._reader is not None:
            await cut_off({self._reader})
            self._reader = None
        if self._http is not None:
            await self._http.close()
            self._http = None
        self._note_lost(Lost(BusUnavailable((self._url,), "closed")))

    async def _handshake(self, sink: Sink) -> Greeting:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_connect=SOCKET_SECONDS))
        self._socket = socket = await self._http.ws_connect(
            self._url,
            protocols=(self._subprotocol,),
            max_msg_size=FRAME_MAX_BYTES,
            ssl=True if self._ssl is None else self._ssl,
        )
        if (tcp := socket.get_extra_info("socket")) is not None:
            notice_silence(tcp)
        if socket.protocol != self._subprotocol:
            raise BusUnavailable((self._url,), f"it does not speak {self._subprotocol}")
        first = await socket.receive()
        if first.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            raise self._ending().error
        letter = unseal(self._read(first.data).sealed, REPLY_MAX_BYTES)
        challenge = letter.body
        if not isinstance(challenge, Challenge):
            raise MalformedEnvelope(f"the edge began with {letter.envelope.type}")
        self._reader = asyncio.create_task(self._pump(socket, sink), name="edge-reader")
        return Greeting(challenge.platform, challenge.nonce, letter.envelope.sender)

    async def _pump(self, socket: aiohttp.ClientWebSocketResponse, sink: Sink) -> None:
        async for message in socket:
            if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                break
            try:
                push = self._read(message.data)
            except EnvelopeError:
                continue
            if push.sequence is not None or not self._answers(push.sealed):
                sink(push)
        self._note_lost(self._ending())

    def _answers(self, sealed: Sealed) -> bool:
        """Hand an answer to whoever waits for it; whether it comes from the right one is checked there."""
        try:
            envelope = peek(sealed)
            if envelope.sender not in self.trusted:
                return False
            ids = {envelope.in_reply_to} & self._waiting.keys()
            if not ids and envelope.type == Receipt.TYPE:
                ids = _receipt_ids(sealed) & self._waiting.keys()
            if not ids:
                return False
            letter = unseal(sealed, REPLY_MAX_BYTES)
        except (EnvelopeError, IdentityError):
            return True
        for id_ in ids:
            future = self._waiting.get(id_ or "")
            if future is not None and not future.done():
                future.set_result(letter)
        return True

    def _read(self, data: bytes | str) -> Push:
        if isinstance(data, bytes):
            split(data, REPLY_MAX_BYTES)
            try:
                place = _decode_place(data)
            except msgspec.DecodeError as error:
                raise MalformedEnvelope(str(error)) from error
            return Push(Sealed(place.codec, place.payload, place.signature), place.sequence, place.previous)
        payload, signature, item = text.parts_of(data, FRAME_MAX_BYTES)
        if item is None:
            return Push(Sealed(Codec.JSON, payload, signature))
        sealed = Sealed(item.codec, item.payload, item.signature)
        # The opaque form uses the sequence 0 for what is not from the mailbox.
        return Push(sealed, item.sequence or None, item.previous)

    async def _send(self, sealed: Sealed) -> None:
        socket = self._socket
        if socket is None or socket.closed:
            raise BusUnavailable((self._url,), "not connected")
        try:
            if self.codec is Codec.JSON:
                await socket.send_str(text.frame_of(sealed.payload, sealed.signature).decode())
            else:
                await socket.send_bytes(msgspec.msgpack.encode(sealed))
        except (aiohttp.ClientError, OSError) as error:
            raise BusUnavailable((self._url,), str(error) or "the connection was lost") from error

    def _ending(self) -> Lost:
        code = self._socket.close_code if self._socket is not None else None
        if code is None:
            return Lost(BusUnavailable((self._url,), "the connection was lost"))
        error: AiconexusError = BusUnavailable((self._url,), f"closed with code {code}")
        if code == Close.TAKEN_OVER:
            return Lost(TakenOver("on another connection"), final=True)
        if gives_up(code):
            return Lost(Refused(f"the edge closed with code {code}"), final=True)
        return Lost(error)

    def _note_lost(self, lost: Lost) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(lost)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BusUnavailable((self._url,), "the connection was lost"))


def websocket_url(url: str) -> str:
    """
    The URL of the socket behind any way to write it.

    Raises:
        ValueError: If it is none.

    """
    parts = urlsplit(url)
    scheme = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ValueError(f"no WebSocket URL: {url}")
    path = parts.path if parts.path not in ("", "/") else "/ws"
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def _receipt_ids(sealed: Sealed) -> set[str | None]:
    body = read_body(peek(sealed), sealed.codec)
    return {item.id for item in body.items} if isinstance(body, Receipt) else set()
