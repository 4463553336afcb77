"""What a channel is like, and where it can stand."""

from enum import IntEnum, StrEnum

import msgspec

from aiconexus.protocol import frames
from aiconexus.protocol.direct_errors import InvalidChannel

ID_MAX = 65_534
"""RFC 8832 section 6; browsers take no more than the 1,024 lowest."""
UINT16_MAX = 65_535
LABEL_MAX_CHARACTERS = 128
PROTOCOL_MAX_CHARACTERS = 256


class Priority(IntEnum):
    """Which channels get more of a link that cannot carry everything."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class ChannelState(StrEnum):
    """
    Where a channel stands.

    The four of W3C, and ``suspended``: its connection is silent or gone, and the channel goes on when there is one.
    """

    CONNECTING = "connecting"
    OPEN = "open"
    SUSPENDED = "suspended"
    CLOSING = "closing"
    CLOSED = "closed"


class DataChannelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    The kind of a channel, as RTCDataChannelInit; every mistake is named at once.

    A channel with neither a lifetime nor retransmissions is reliable: it takes messages of any size up to
    ``Direct.message_max_bytes``, and goes on in another connection where one broke off, nothing lost or doubled.
    The others take up to 16 KiB, and lose what their connection loses.

    Args:
        ordered: Whether messages arrive in the order they were sent.
        max_packet_life_time_ms: How long an unreliable channel tries to bring a message across.
        max_retransmits: Instead, how often it sends a lost one again.
        protocol: What the application calls the language spoken in it.
        negotiated: Whether both sides make the channel by themselves instead of one announcing it in-band.
        id: Its stream in the connection, 1 to 65534; None takes the next one that is free.
        priority: Its share of a link that cannot carry everything; only counts on our side.

    Raises:
        InvalidChannel: If anything is out of range, or contradicts the rest.

    """

    ordered: bool = True
    max_packet_life_time_ms: int | None = None
    max_retransmits: int | None = None
    protocol: str = ""
    negotiated: bool = False
    id: int | None = None
    priority: Priority = Priority.NORMAL

    def __post_init__(self) -> None:
        mistakes = tuple(self._mistakes())
        if mistakes:
            raise InvalidChannel(mistakes)

    @property
    def is_reliable(self) -> bool:
        """Whether every message arrives."""
        return self.max_packet_life_time_ms is None and self.max_retransmits is None

    def _mistakes(self) -> list[str]:
        mistakes = []
        if self.max_packet_life_time_ms is not None and self.max_retransmits is not None:
            mistakes.append("both max_packet_life_time_ms and max_retransmits are set")
        if self.max_packet_life_time_ms is not None and not 1 <= self.max_packet_life_time_ms <= UINT16_MAX:
            mistakes.append(f"max_packet_life_time_ms is not between 1 and {UINT16_MAX}")
        if self.max_retransmits is not None and not 0 <= self.max_retransmits <= UINT16_MAX:
            mistakes.append(f"max_retransmits is not between 0 and {UINT16_MAX}")
        if len(self.protocol) > PROTOCOL_MAX_CHARACTERS:
            mistakes.append(f"protocol is longer than {PROTOCOL_MAX_CHARACTERS} characters")
        if self.id is not None and not frames.CHANNEL_ID < self.id <= ID_MAX:
            mistakes.append(f"id is not between {frames.CHANNEL_ID + 1} and {ID_MAX}")
        if self.negotiated and self.id is None:
            mistakes.append("a negotiated channel needs an id")
        if self.priority not in tuple(Priority):
            mistakes.append(f"priority {self.priority!r} is none")
        return mistakes


def check_label(label: str) -> None:
    """
    Refuse what cannot name a channel.

    Raises:
        InvalidChannel: If it is empty, too long, or ours.

    """
    if not label or len(label) > LABEL_MAX_CHARACTERS:
        raise InvalidChannel((f"a label has 1 to {LABEL_MAX_CHARACTERS} characters",))
    if label == frames.LABEL:
        raise InvalidChannel((f"the label {frames.LABEL!r} is that of the system channel",))
