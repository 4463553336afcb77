"""
Messages that are signed by whoever sent them, through a channel: nothing else counts there.

A channel is bound to both DIDs already, so this adds what the receiver can show to others, or to a court: sealed
envelopes. Those that are sent while one is being written share the next one, and its one signature.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.direct_errors import ChannelClosed, MessageTooLarge
from aiconexus.protocol.errors import (
    AiconexusError,
    EnvelopeError,
    ForeignSender,
    IdentityError,
    MalformedEnvelope,
    ReplayedEnvelope,
)
from aiconexus.protocol.seal import Codec, Sealed, split, unseal
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import ChannelState
from aiconexus.sdk.direct.flow import MESSAGE_IN_UNIT_MAX_BYTES
from aiconexus.sdk.voice import Voice

PROTOCOL = "aiconexus.signed.v1"
"""What such a channel says that it speaks."""
MESSAGE_MAX_BYTES = 48 * 1024
BATCH_BYTES = 12 * 1024
"""Messages share an envelope up to this size, which still goes as one unit of the channel."""


class SignedChannel:
    """
    A channel of signed messages, made by ``peer.open_signed_channel``.

    Args:
        channel: Reliable and ordered, of the protocol ``aiconexus.signed.v1``.
        voice: Ours.
        peer: The DID at the other end.
        on_forged: Told of what was not signed by it, or not meant for here; the channel is closed then.

    """

    def __init__(
        self, channel: Channel, voice: Voice, peer: str, on_forged: Callable[[AiconexusError], None] = lambda _: None
    ) -> None:
        self.channel = channel
        self.label = channel.label
        self.envelopes_sent = 0
        self.last: Sealed | None = None
        """The envelope that the last message came in: what it takes to show that the peer said it."""
        self._voice = voice
        self._peer = peer
        self._on_forged = on_forged
        self._pending: list[bytes | str] = []
        self._pending_bytes = 0
        self._flush: asyncio.Task[None] | None = None
        self._error: ChannelClosed | None = None
        self._expected = 0
        self._read: deque[bytes | str] = deque()

    @property
    def state(self) -> ChannelState:
        """Where it stands."""
        return self.channel.state

    async def send(self, data: bytes | str) -> None:
        """
        Send a message; it is signed with those that are sent at the same time.

        Raises:
            ChannelClosed: If nothing is taken any more.
            MessageTooLarge: If it does not fit an envelope.
            TypeError: If it is neither bytes nor text.

        """
        size = _size_of(data)
        if size > MESSAGE_MAX_BYTES:
            raise MessageTooLarge(size, MESSAGE_MAX_BYTES)
        while self._pending and self._pending_bytes + size > BATCH_BYTES:
            await self.flush()
        if self._error is not None or self.channel.state in (ChannelState.CLOSING, ChannelState.CLOSED):
            raise self._error or ChannelClosed(self.label)
        self._pending.append(data)
        self._pending_bytes += size
        if self._flush is None:
            self._flush = asyncio.create_task(self._write(), name=f"signed-{self.label}")

    async def flush(self) -> None:
        """
        Wait until everything that was sent so far has been given to the channel.

        Raises:
            ChannelClosed: If it could not be.

        """
        while self._flush is not None:
            await asyncio.wait({self._flush})
        if self._error is not None:
            raise self._error

    async def receive(self) -> bytes | str:
        """
        Wait for the next message whose signature was verified.

        Raises:
            ChannelClosed: After the last one, or because of one that was not the peer's.

        """
        while not self._read:
            self._believe(await self.channel.receive())
        return self._read.popleft()

    async def __aiter__(self) -> AsyncIterator[bytes | str]:
        try:
            while True:
                yield await self.receive()
        except ChannelClosed:
            if self._error is not None:
                raise self._error from None

    async def close(self) -> None:
        """
        Bring across what was sent, then close.

        Raises:
            ChannelClosed: If the other side did not get everything in time.

        """
        await self.flush()
        await self.channel.close()

    async def _write(self) -> None:
        try:
            while self._pending:
                batch, self._pending, self._pending_bytes = self._pending, [], 0
                spoken = self._voice.say(
                    Message(content=batch),
                    self._peer,
                    Codec.MSGPACK,
                    thread=self.label,
                    sequence=self.envelopes_sent,
                    now_ms=now_ms(),
                )
                self.envelopes_sent += 1
                is_long = len(spoken.sealed) > MESSAGE_IN_UNIT_MAX_BYTES
                if is_long or not self.channel.try_send(spoken.sealed):
                    await self.channel.send(spoken.sealed)
        except ChannelClosed as error:
            self._error = error
        finally:
            self._flush = None

    def _believe(self, data: bytes | str) -> None:
        try:
            if isinstance(data, str):
                raise MalformedEnvelope("a text is no envelope")
            letter = unseal(split(data))
            envelope, body = letter.envelope, letter.body
            if (envelope.sender, envelope.recipient) != (self._peer, self._voice.did):
                raise ForeignSender(envelope.sender, self._peer)
            if (envelope.thread, envelope.sequence) != (self.label, self._expected):
                raise ReplayedEnvelope(envelope.id)
            if not isinstance(body, Message) or not _is_batch(body.content):
                raise MalformedEnvelope("no batch of messages")
        except (EnvelopeError, IdentityError) as error:
            self._on_forged(error)
            self._error = ChannelClosed(self.label, str(error))
            raise self._error from error
        self._expected += 1
        self.last = letter.sealed
        self._read.extend(body.content)


def _size_of(data: bytes | str) -> int:
    """Bytes in an envelope."""
    if isinstance(data, bytes):
        return len(data)
    if isinstance(data, str):
        return len(data) if data.isascii() else len(data.encode())
    raise TypeError(f"a message is bytes or str, not {type(data).__name__}")


def _is_batch(content: object) -> bool:
    return isinstance(content, list) and all(isinstance(each, bytes | str) for each in content)
