"""
Messages as the stack carries them, without numbers: unreliable channels, and those of a peer that knows nothing else.

What waits here longer than the lifetime of its channel is given up, like what the stack could not bring across. What
comes faster than it is read pushes out the oldest; a channel that is said to be reliable ends instead.
"""

from collections import deque
from collections.abc import Callable

from aiconexus.protocol.direct_errors import FrameRefused
from aiconexus.sdk.direct import metrics
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.flow import MESSAGE_IN_UNIT_MAX_BYTES, UNIT_COST, WINDOW_BYTES

MESSAGE_MAX_BYTES = MESSAGE_IN_UNIT_MAX_BYTES


class LooseOut:
    """
    Messages on their way.

    Args:
        config: Of the channel.
        now: A clock, in seconds.

    """

    def __init__(self, config: DataChannelConfig, now: Callable[[], float]) -> None:
        lifetime = config.max_packet_life_time_ms
        self._lifetime_seconds = None if lifetime is None else lifetime / 1000
        self._now = now
        self.waiting: deque[tuple[bytes | str, float]] = deque()
        self.waiting_bytes = 0
        self.room = 1
        self.dropped = 0

    @property
    def has_sendable(self) -> bool:
        """Whether a message can be taken."""
        self._give_up()
        return bool(self.waiting)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return not self.waiting

    def unit_of(self, data: bytes | str) -> bytes | str:
        """
        The message itself.

        Raises:
            TypeError: If it is neither bytes nor text.

        """
        if not isinstance(data, bytes | str):
            raise TypeError(f"a message is bytes or str, not {type(data).__name__}")
        return data

    def put(self, unit: bytes | str) -> None:
        """Have a message wait for its turn."""
        self.waiting.append((unit, self._now()))
        self.waiting_bytes += len(unit)

    def send(self, unit: bytes | str) -> bytes | str:
        """Send a message before which none waits."""
        return unit

    def take(self, bundle_bytes: int = 0) -> bytes | str:  # noqa: ARG002 - a lost bundle would be several lost messages
        """The next message; they go one by one."""
        unit, _ = self.waiting.popleft()
        self.waiting_bytes -= len(unit)
        return unit

    def clear(self) -> int:
        """Give everything up; returns how much."""
        left = len(self.waiting)
        self.waiting.clear()
        self.waiting_bytes = 0
        return left

    def _give_up(self) -> None:
        if self._lifetime_seconds is None:
            return
        oldest = self._now() - self._lifetime_seconds
        while self.waiting and self.waiting[0][1] < oldest:
            self.take()
            self.dropped += 1
            metrics.note_message_dropped()


class LooseIn:
    """
    Messages as they arrive and are read.

    Args:
        is_reliable: Whether one too many ends the channel, instead of pushing out the oldest.

    """

    def __init__(self, *, is_reliable: bool) -> None:
        self._is_reliable = is_reliable
        self.messages: deque[bytes | str] = deque()
        self.is_ended = False
        self.dropped = 0
        self._cost = 0

    def feed(self, frame: bytes | str) -> None:
        """
        Take a message.

        Raises:
            FrameRefused: If there is no room for it, and none may be lost.

        """
        self.messages.append(frame)
        self._cost += len(frame) + UNIT_COST
        while self._cost > WINDOW_BYTES:
            if self._is_reliable:
                raise FrameRefused("more than there is room for")
            self.read()
            self.dropped += 1
            metrics.note_message_dropped()

    def read(self) -> bytes | str:
        """The next message."""
        message = self.messages.popleft()
        self._cost -= len(message) + UNIT_COST
        return message

    def take_ack(self) -> None:
        """Nobody waits for one."""

    def close(self) -> None:
        """What came can still be read."""
