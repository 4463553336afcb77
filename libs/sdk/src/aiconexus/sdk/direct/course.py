"""
How a channel lives on while connections come and go.

What the stack calls a data channel lives and dies with one connection; here it is a carrier. A reliable channel is
taken over by the next connection like this: each side makes a carrier there and says Resume, with what it has, through
the system channel; each then says START through the carrier and sends from the first unit that the other does not have.
From the moment that a side has said Resume it takes nothing from the old carrier, so nothing comes twice. Unreliable
channels just go on.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from aiconexus.protocol.direct_errors import ChannelClosed, FrameRefused, MessageTooLarge
from aiconexus.protocol.frames import Resume
from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.bandwidth import LOW_THRESHOLD, Sender
from aiconexus.sdk.direct.channel_config import ChannelState, DataChannelConfig
from aiconexus.sdk.direct.flow import ACK, ACK_BODY, BINARY, BUNDLE, NUMBER, START, Outflow, start_frame
from aiconexus.sdk.direct.inflow import Inflow
from aiconexus.sdk.direct.loose import LooseIn, LooseOut
from aiconexus.sdk.direct.parts import Budget
from aiconexus.sdk.direct.reader import Reader
from aiconexus.sdk.direct.sending import Carrier, Sending

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

CARRIERS_MAX = 3
"""Connections of which a channel remembers its carrier."""


class Home(Protocol):
    """What a channel needs of the table that it stands in."""

    sender: Sender
    budget: Budget
    long_turn: asyncio.Lock
    message_max_bytes: int

    def say_resume(self, word: Resume) -> None:
        """Say a word through the present connection, if there is one."""

    def note_state(self, label: str, state: ChannelState) -> None:
        """A channel stands elsewhere."""

    def note_room(self) -> None:
        """The stack has sent something."""

    def note_violation(self, label: str, error: Exception) -> None:
        """The other side does what no honest one would."""


class Course:
    """
    The inside of a channel.

    Args:
        home: The table.
        label: The channel's name.
        id_: Its stream.
        config: Its kind.
        token: What tells it from earlier ones.
        is_framed: Whether its messages are numbered; otherwise they are as the stack carries them.

    """

    def __init__(
        self, home: Home, label: str, id_: int, config: DataChannelConfig, *, token: str, is_framed: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        numbered = not config.ordered
        self.label = label
        self.id = id_
        self.config = config
        self.token = token
        self.state = ChannelState.CONNECTING
        self.error: ChannelClosed | None = None
        """Why it is closed, unless somebody closed it as one should."""
        self.ended: asyncio.Future[None] = loop.create_future()
        self.out = Outflow(is_numbered=numbered) if is_framed else LooseOut(config, loop.time)
        self.source = (
            Inflow(home.budget, is_numbered=numbered) if is_framed else LooseIn(is_reliable=config.is_reliable)
        )
        self.sending = Sending(
            self.out,
            home.sender,
            home.long_turn,
            message_max_bytes=home.message_max_bytes,
            priority=config.priority,
            on_sent=self.close_when_sent,
        )
        self.reader = Reader(self.source, self._tell_read)
        self.on_state: list[Callable[[ChannelState], object]] = []
        self._home = home
        self._is_numbered = numbered
        self._carriers: dict[str, Carrier] = {}
        self._incoming: Carrier | None = None
        self._resting: Carrier | None = None

    # Connections

    @property
    def has_begun(self) -> bool:
        """Whether it ever had a carrier."""
        return self._incoming is not None

    def begin(self, raw: "RTCDataChannel", session: str) -> None:
        """Use the first carrier."""
        carrier = self._carry(raw, session, is_synced=True)
        self._incoming = self._resting = carrier
        if carrier.is_open:
            self._go_on(carrier)
        else:
            raw.on("open", lambda: self._go_on(carrier) if carrier is self._resting else None)

    def attach(self, session: str, make_raw: "Callable[[], RTCDataChannel]") -> None:
        """Go on in a connection, new or known."""
        carrier = self._carriers.get(session)
        if carrier is None:
            carrier = self._carry(make_raw(), session, is_synced=False)
        elif not carrier.is_open:
            return  # the stack will say when it is, or that it never will be
        elif carrier.is_synced and carrier is self._resting:
            self._go_on(carrier)
            return
        if self._incoming is not None:
            self._incoming.is_synced = False
        self._incoming = carrier
        received, consumed = (self.source.received, self.source.consumed) if isinstance(self.source, Inflow) else (0, 0)
        self._home.say_resume(Resume(self.id, self.token, received, consumed))

    def resume(self, session: str, received: int, consumed: int) -> None:
        """The other side goes on in a connection, and has so much."""
        carrier = self._carriers.get(session)
        if carrier is None or not carrier.is_open:
            return
        if isinstance(self.out, Outflow):
            try:
                number = self.out.rewind(received, consumed)
            except FrameRefused as error:
                self.violate(error)
                return
            carrier.give(start_frame(number))
        else:
            carrier.is_synced = True
        metrics.note_resumed()
        self._go_on(carrier)

    def suspend(self, session: str) -> None:
        """A connection is silent, or over."""
        carrier = self.sending.carrier
        if carrier is not None and carrier.session == session:
            self.sending.use(None)
            if self.state is ChannelState.OPEN:
                self._set_state(ChannelState.SUSPENDED)

    def leaves(self, session: str) -> bool:
        """Whether something of it still has to leave through a connection."""
        carrier = self._carriers.get(session)
        if carrier is None or not carrier.is_open:
            return False
        return carrier is self.sending.carrier or (isinstance(self.out, LooseOut) and carrier.raw.bufferedAmount > 0)

    # The end

    def begin_close(self) -> None:
        """Send what waits, then close."""
        if self.state is ChannelState.CONNECTING:
            self.abort(None)
            return
        self._set_state(ChannelState.CLOSING)
        self.sending.end(ChannelClosed(self.label))
        self.close_when_sent()

    def close_when_sent(self) -> None:
        """Without units there is no word for the end but the end of the stream."""
        if self.state is ChannelState.CLOSING and isinstance(self.out, LooseOut) and self.out.is_empty:
            self._close_raw()

    def abort(self, error: ChannelClosed | None) -> None:
        """End at once."""
        if self.state is ChannelState.CLOSED:
            return
        self.error = error
        self._set_state(ChannelState.CLOSED)
        self._close_raw()
        self.sending.close(error or ChannelClosed(self.label))
        self.source.close()
        self.reader.finish(error)
        self.ended.set_result(None)

    def violate(self, error: Exception) -> None:
        """End because of what the other side did."""
        self._home.note_violation(self.label, error)
        self.abort(ChannelClosed(self.label, str(error)))

    # Inside

    def _carry(self, raw: "RTCDataChannel", session: str, *, is_synced: bool) -> Carrier:
        carrier = Carrier(raw, session, is_synced=is_synced)
        self._carriers.pop(session, None)
        while len(self._carriers) >= CARRIERS_MAX:
            del self._carriers[next(iter(self._carriers))]
        self._carriers[session] = carrier
        raw.bufferedAmountLowThreshold = LOW_THRESHOLD
        raw.on("bufferedamountlow", self._home.note_room)
        raw.on("close", lambda: self._note_raw_closed(carrier))
        if isinstance(self.source, Inflow):
            inflow = self.source
            raw.on("message", lambda data: self._take_frame(carrier, inflow, data))
        else:
            raw.on("message", self._take_message)
        return carrier

    def _go_on(self, carrier: Carrier) -> None:
        if self.state is ChannelState.CLOSED:
            return
        if self._resting is not None and self._resting is not carrier:
            self._resting.raw.bufferedAmountLowThreshold = 0  # somebody may wait until it is empty
        self._resting = carrier
        if self.state is ChannelState.CONNECTING:
            self._home.sender.add(self.sending)
        self.sending.use(carrier)
        if self.state is not ChannelState.CLOSING:
            self._set_state(ChannelState.OPEN)
        self._tell_read()
        self.close_when_sent()

    def _take_frame(self, carrier: Carrier, inflow: Inflow, data: bytes | str) -> None:
        if carrier is not self._incoming or self.state is ChannelState.CLOSED:
            return
        try:
            if not data or isinstance(data, str):
                raise FrameRefused("no frame")  # noqa: TRY301 - handled like what is refused further down
            if data[0] > BUNDLE:
                self._take_control(carrier, inflow, data)
            elif carrier.is_synced or self._is_numbered:
                inflow.feed(data)
                self.reader.notify()
                if data[0] != BINARY or self._is_numbered:
                    self._tell_read()  # parts need no room once they are put together
                    self._note_end(inflow)
        except (FrameRefused, MessageTooLarge) as error:
            self.violate(error)

    def _take_control(self, carrier: Carrier, inflow: Inflow, data: bytes) -> None:
        if data[0] == ACK and len(data) == 1 + ACK_BODY.size:
            self.sending.note_ack(*ACK_BODY.unpack_from(data, 1))
        elif data[0] == START and len(data) == 1 + NUMBER.size:
            inflow.start(*NUMBER.unpack_from(data, 1))
            carrier.is_synced = True
        else:
            raise FrameRefused("no frame")

    def _take_message(self, data: bytes | str) -> None:
        if self.state is ChannelState.CLOSED or not isinstance(self.source, LooseIn):
            return
        try:
            self.source.feed(data)
        except FrameRefused as error:
            self.violate(error)
        else:
            self.reader.notify()

    def _tell_read(self) -> None:
        """Let the sender know that there is room again, while it can be told."""
        carrier = self.sending.carrier
        if carrier is not None and (frame := self.source.take_ack()) is not None:
            carrier.give(frame)

    def _note_end(self, inflow: Inflow) -> None:
        """If the other side has closed, and we have all that it sent, the stream ends, which tells it so."""
        if inflow.is_ended:
            self.abort(None)

    def _note_raw_closed(self, carrier: Carrier) -> None:
        self._carriers = {session: each for session, each in self._carriers.items() if each is not carrier}
        if carrier not in (self.sending.carrier, self._incoming) or self.state is ChannelState.CLOSED:
            return
        if carrier.raw.transport.state != "connected":
            self.suspend(carrier.session)
        elif self.state is ChannelState.CLOSING or isinstance(self.source, LooseIn):
            self.abort(None)
        else:
            self.abort(ChannelClosed(self.label, "the other side ended the stream"))

    def _close_raw(self) -> None:
        for carrier in self._carriers.values():
            carrier.raw.close()

    def _set_state(self, state: ChannelState) -> None:
        if state is not self.state:
            self.state = state
            self._home.note_state(self.label, state)
            loop = asyncio.get_running_loop()
            for callback in self.on_state:
                loop.call_soon(callback, state)
