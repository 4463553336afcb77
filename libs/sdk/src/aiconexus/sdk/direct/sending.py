"""The sending half of a channel: how a message gets from the application to the stack, and what it waits for."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiconexus.protocol.direct_errors import ChannelClosed, MessageTooLarge
from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.bandwidth import Sender
from aiconexus.sdk.direct.channel_config import Priority
from aiconexus.sdk.direct.flow import CLOSE, KINDS, MESSAGE_IN_UNIT_MAX_BYTES, PART, Outflow
from aiconexus.sdk.direct.loose import LooseOut
from aiconexus.sdk.direct.parts import LONG_BYTES, NUMBERS, abandon, cut
from aiconexus.sdk.direct.stack import STACK_ERRORS

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

HIGH_WATER_BYTES = 2 * 1024 * 1024
"""``send`` waits while more than this waits before the stack,"""
LOW_WATER_BYTES = 512 * 1024
"""until it is no more than this."""


class Carrier:
    """
    A data channel of the stack, in one connection.

    ``is_synced`` says that its next frame is the one that we expect.
    """

    __slots__ = ("is_synced", "raw", "session")

    def __init__(self, raw: "RTCDataChannel", session: str, *, is_synced: bool) -> None:
        self.raw = raw
        self.session = session
        self.is_synced = is_synced

    @property
    def is_open(self) -> bool:
        """Whether the stack takes frames."""
        return bool(self.raw.readyState == "open")

    def give(self, frame: bytes | str) -> None:
        """Give the stack a frame; if its connection has just ended, the stack tells so by an event."""
        try:
            self.raw.send(frame)
        except STACK_ERRORS:
            return


class Sending:
    """
    What a channel sends; a ``Source`` of its peer's sender.

    Args:
        out: Its bookkeeping.
        sender: Decides whose turn it is.
        long_turn: Held by the one channel of the peer that sends a long message, until it was read.
        message_max_bytes: The longest message.
        priority: Its share.
        on_sent: Told when the last message before the end was given to the stack.

    """

    def __init__(
        self,
        out: Outflow | LooseOut,
        sender: Sender,
        long_turn: asyncio.Lock,
        *,
        message_max_bytes: int,
        priority: Priority,
        on_sent: Callable[[], None],
    ) -> None:
        self.out = out
        self.priority = priority
        self.carrier: Carrier | None = None
        self.error: ChannelClosed | None = None
        """Why nothing more is taken."""
        self.messages = 0
        self.bytes = 0
        self._sender = sender
        self._long_turn = long_turn
        self._long_end: int | None = None
        self._message_max_bytes = message_max_bytes
        self._turn = asyncio.Lock()
        self._room: asyncio.Future[None] | None = None
        self._number = 0
        self._on_sent = on_sent
        self._is_closed = False

    # What the sender of the peer asks

    @property
    def stack_bytes(self) -> int:
        """What the stack holds of it."""
        return 0 if self.carrier is None else int(self.carrier.raw.bufferedAmount)

    @property
    def waiting_bytes(self) -> int:
        """What waits before the stack."""
        return self.out.waiting_bytes

    @property
    def has_sendable(self) -> bool:
        """Whether a frame could be given to the stack now."""
        return self.carrier is not None and self.carrier.is_open and self.out.has_sendable

    def transmit(self, bundle_bytes: int) -> int:
        """Give a frame to the stack; returns its bytes."""
        frame = self.out.take(bundle_bytes)
        if self.carrier is not None:
            self.carrier.give(frame)
        if self.out.waiting_bytes <= LOW_WATER_BYTES:
            self._wake()
        if self.error is not None and not self.out.waiting:
            self._on_sent()
        return len(frame)

    # What the application asks

    def try_send(self, data: bytes | str) -> bool:
        """
        Send a message if it need not wait.

        Raises:
            ChannelClosed: If nothing is taken any more.
            MessageTooLarge: If it could never go without waiting.
            TypeError: If it is neither bytes nor text.

        """
        if self._turn.locked():
            return False
        if self._put(data):
            return True
        if len(data) > MESSAGE_IN_UNIT_MAX_BYTES:
            raise MessageTooLarge(len(data), MESSAGE_IN_UNIT_MAX_BYTES)
        return False

    async def send(self, data: bytes | str) -> None:
        """
        Send a message, in the order of the calls, once there is room for it.

        Raises:
            ChannelClosed: If nothing is taken any more.
            MessageTooLarge: If it is more than channels take.
            TypeError: If it is neither bytes nor text.

        """
        if self._turn.locked() or not self._put(data):
            async with self._turn:
                await self._send_in_turn(data)

    # What the channel tells

    def use(self, carrier: Carrier | None) -> None:
        """Send through another data channel, or through none for now."""
        self.carrier = carrier
        self._sender.wake(self)

    def note_ack(self, received: int, consumed: int) -> None:
        """
        The other side has so many units, and has read so much.

        Raises:
            FrameRefused: If we never sent as much.

        """
        if isinstance(self.out, Outflow):
            was_blocked = self.out.room <= 0
            self.out.note_ack(received, consumed)
            self._note_read(self.out)
            if was_blocked:
                self._sender.wake(self)

    def end(self, error: ChannelClosed) -> None:
        """Take nothing more; in a reliable channel the other side learns it after all that was sent."""
        self.error = error
        if isinstance(self.out, Outflow):
            self.out.put(KINDS[CLOSE])
            self._sender.note_waiting(self, 1)
        self._wake()

    def close(self, error: ChannelClosed) -> int:
        """Be over; returns how much the other side may not have."""
        self.error = error
        self.carrier = None
        self._is_closed = True
        left = self.out.clear()
        self._release_long()
        self._sender.remove(self)
        self._wake()
        return left

    def _put(self, data: bytes | str) -> bool:
        if self.error is not None:
            raise self.error
        unit = self.out.unit_of(data)
        if len(unit) > MESSAGE_IN_UNIT_MAX_BYTES + 1 or not self._put_unit(unit):
            return False
        traffic, size = metrics.traffic, len(data)
        traffic.messages_sent += 1
        traffic.bytes_sent += size
        self.messages += 1
        self.bytes += size
        return True

    def _put_unit(self, unit: bytes | str) -> bool:
        out, sender, size = self.out, self._sender, len(unit)
        carrier = self.carrier
        if (
            sender.room >= size
            and not sender.waiting_bytes
            and out.room > 0
            and carrier is not None
            and carrier.is_open
        ):
            sender.room -= size
            carrier.give(out.send(unit))  # type: ignore[arg-type]  # each kind of flow makes its own units
            return True
        if out.waiting_bytes + size > HIGH_WATER_BYTES:
            return False
        out.put(unit)  # type: ignore[arg-type]  # likewise
        sender.note_waiting(self, size)
        return True

    async def _send_in_turn(self, data: bytes | str) -> None:
        while not self._put(data):
            body = data.encode() if isinstance(data, str) else data
            if len(body) > MESSAGE_IN_UNIT_MAX_BYTES:
                await self._send_parts(body, is_text=isinstance(data, str))
                return
            await self._wait_room()

    async def _send_parts(self, body: bytes, *, is_text: bool) -> None:
        if len(body) > self._message_max_bytes or isinstance(self.out, LooseOut):
            limit = MESSAGE_IN_UNIT_MAX_BYTES if isinstance(self.out, LooseOut) else self._message_max_bytes
            raise MessageTooLarge(len(body), limit)
        is_long = len(body) > LONG_BYTES
        if is_long:
            await self._long_turn.acquire()
        number, self._number = self._number, (self._number + 1) % NUMBERS
        try:
            for part in cut(body, number, is_text=is_text):
                await self._put_in_turn(KINDS[PART] + part)
        except asyncio.CancelledError:
            if self.error is None:
                unit = KINDS[PART] + abandon(number)
                self.out.put(unit)
                self._sender.note_waiting(self, len(unit))
            raise
        finally:
            if is_long:
                self._long_end = self.out.total_cost
                self._note_read(self.out)
        self.messages += 1
        self.bytes += len(body)
        metrics.traffic.messages_sent += 1
        metrics.traffic.bytes_sent += len(body)

    async def _put_in_turn(self, unit: bytes) -> None:
        while self.error is None and not self._put_unit(unit):
            await self._wait_room()
        if self.error is not None:
            raise self.error

    async def _wait_room(self) -> None:
        """Wait until there is room; only who has the turn does."""
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _note_read(self, out: Outflow) -> None:
        if self._long_end is not None and (out.consumed >= self._long_end or self._is_closed):
            self._release_long()

    def _release_long(self) -> None:
        if self._long_end is not None:
            self._long_end = None
            self._long_turn.release()

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
