"""What can be told of a peer's connection: typed, from the stack's own statistics and what those leave out."""

from typing import TYPE_CHECKING

import msgspec

from aiconexus.sdk.direct import stack
from aiconexus.sdk.direct.channel import Channel
from aiconexus.sdk.direct.channel_config import ChannelState

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """
    What passed through one connection.

    Packets and bytes are those of DTLS. Chunks are those of SCTP with data in them, since the connection was
    established; ``chunks_resent`` of them went out again because they were lost, or their acknowledgement was late.
    """

    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    chunks_sent: int = 0
    chunks_resent: int = 0
    congestion_window_bytes: int = 0
    in_flight_bytes: int = 0
    dtls_state: str = "new"
    ice_role: str = ""
    local_type: str | None = None
    """``host``, ``srflx``, ``prflx`` or ``relay``, of the pair that ICE has chosen."""
    local_address: str | None = None
    remote_type: str | None = None
    remote_address: str | None = None

    @property
    def loss(self) -> float:
        """The share of chunks that were sent again."""
        return self.chunks_resent / self.chunks_sent if self.chunks_sent else 0.0


class ChannelStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What passed through one channel."""

    label: str
    id: int
    state: ChannelState
    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    buffered_amount: int
    dropped: int
    age_seconds: float


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """All that there is to tell of one peer at a moment; without a connection ``transport`` is None."""

    at_ms: int
    did: str
    session: str | None
    role: str | None
    state: str
    ice_state: str
    road: str
    rtt_seconds: float | None
    jitter_seconds: float | None
    transport: Transport | None
    channels: tuple[ChannelStatistics, ...]
    buffered_amount: int
    """Of all channels of the application."""


def transport_of(pc: "RTCPeerConnection", chunks: stack.Chunks) -> Transport:
    """What passed through a connection."""
    counts, pair = stack.counts_of(pc), stack.pair_of(pc)
    return Transport(
        **counts,
        chunks_sent=chunks.sent,
        chunks_resent=chunks.resent,
        local_type=None if pair is None else pair.local_type,
        local_address=None if pair is None else pair.local_address,
        remote_type=None if pair is None else pair.remote_type,
        remote_address=None if pair is None else pair.remote_address,
    )


def statistics_of(channel: Channel) -> ChannelStatistics:
    """What passed through a channel."""
    return ChannelStatistics(
        label=channel.label,
        id=channel.id,
        state=channel.state,
        messages_sent=channel.messages_sent,
        messages_received=channel.messages_received,
        bytes_sent=channel.bytes_sent,
        bytes_received=channel.bytes_received,
        buffered_amount=channel.buffered_amount,
        dropped=channel.dropped,
        age_seconds=channel.age_seconds,
    )
