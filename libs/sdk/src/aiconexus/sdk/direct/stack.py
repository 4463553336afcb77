"""
All that we know of the inside of aiortc and aioice; the tests of this file tell when a new release differs.

The stack starts tasks that nobody awaits. What fails in them is either a datagram that cannot be sent, which is lost as
datagrams are, or the end of the connection, which is told. What it leaves open, ``sockets`` closes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import aioice.stun
import msgspec
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceCandidate,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcicetransport import parse_stun_turn_uri
from aiortc.sdp import candidate_from_sdp

from aiconexus.protocol.direct_errors import DescriptionRefused
from aiconexus.protocol.sdp import has_port
from aiconexus.protocol.signal_bodies import Candidate, IceServer
from aiconexus.sdk.crew import cut_off
from aiconexus.sdk.direct.channel_config import DataChannelConfig
from aiconexus.sdk.direct.sockets import Sockets, look_at

RETRY_SECONDS = 0.1
"""A check that is lost is repeated so soon; the default of half a second costs as much in each second connection."""
aioice.stun.RETRY_RTO = RETRY_SECONDS

CLOSE_SECONDS = 3.0
"""A TURN server that is there has released by then what it held for us; one that is gone is asked for many seconds."""

STACK_ERRORS = (
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
    ConnectionError,
    OSError,
    ValueError,
)
"""What the stack raises when it cannot do what it is asked to."""
_MALFORMED = (ValueError, LookupError, AttributeError, TypeError, AssertionError)
"""What its hand-written parser raises at what is no description."""

RELAYED = "relay"
CHUNK_COST = 256
"""Bytes that the stack needs for a chunk besides what is in it, about."""


class Pair(msgspec.Struct, frozen=True):
    """The two candidates that ICE has chosen, by their kinds and addresses."""

    local_type: str
    local_address: str
    remote_type: str
    remote_address: str


class Stack(RTCPeerConnection):
    """
    A peer connection whose background tasks end without a word, and leave nothing open.

    Args:
        configuration: As for its base.
        on_broken: Told why connecting failed, where the stack would tell nobody.

    """

    def __init__(self, configuration: RTCConfiguration, on_broken: Callable[[str], None]) -> None:
        super().__init__(configuration)
        self._on_broken = on_broken
        self._sockets: list[Sockets] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close it, and wait until no socket and no task of it is left; whoever stops waiting does not stop that."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="stack-close")
            self._closing.add_done_callback(look_at)
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        for sockets in self._sockets:
            await sockets.stop_gathering()
        closing = asyncio.create_task(super().close())
        try:
            await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        finally:
            for sockets in self._sockets:
                sockets.abort()
        await asyncio.wait({closing})
        await cut_off(self._connecting)
        await cut_off([sockets.consent for sockets in self._sockets if sockets.consent is not None])
        closing.result()

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802 - overrides its base
        task = asyncio.current_task()
        if task is not None:
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]
        except (*STACK_ERRORS, *_MALFORMED) as error:
            self._on_broken(f"{type(error).__name__}: {error}")
        pump = None if self.sctp is None else self.sctp.transport._task  # noqa: SLF001 - nobody else looks at it
        if pump is not None:
            pump.add_done_callback(look_at)

    def _RTCPeerConnection__createDtlsTransport(self) -> Any:  # noqa: N802 - likewise
        transport = super()._RTCPeerConnection__createDtlsTransport()  # type: ignore[misc]
        transport._send_data = _lossy(transport._send_data)  # noqa: SLF001 - SCTP calls it in tasks of its own
        self._sockets.append(Sockets(transport.transport._connection))  # noqa: SLF001
        return transport


def make_stack(servers: Sequence[IceServer], *, relay_only: bool, on_broken: Callable[[str], None]) -> Stack:
    """
    A peer connection with a fresh certificate.

    Args:
        servers: At most one STUN and one TURN URL of them are used, the first of each.
        relay_only: Whether no candidate but those of the TURN server may come up.
        on_broken: See ``Stack``.

    """
    policy = RTCIceTransportPolicy.RELAY if relay_only else RTCIceTransportPolicy.ALL
    # Without a list the stack would ask a server of its own choice.
    given = [RTCIceServer(list(each.urls), each.username, each.credential) for each in servers]
    configuration = RTCConfiguration(
        iceServers=given, iceTransportPolicy=policy, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE
    )
    return Stack(configuration, on_broken)


def create_channel(pc: RTCPeerConnection, label: str, config: DataChannelConfig) -> RTCDataChannel:
    """Create a data channel; whoever wants to know its true label and protocol has to say them otherwise."""
    return pc.createDataChannel(
        # The stack counts characters where RFC 8832 section 5.1 wants bytes.
        label if label.isascii() else str(config.id),
        maxPacketLifeTime=config.max_packet_life_time_ms,
        maxRetransmits=config.max_retransmits,
        ordered=config.ordered,
        protocol=config.protocol if config.protocol.isascii() else "",
        negotiated=config.negotiated,
        id=config.id,
    )


async def set_remote(pc: RTCPeerConnection, sdp: str, type_: str) -> None:
    """
    Hand over what was checked by ``read_description``, if the stack can read it, too.

    Raises:
        DescriptionRefused: If it cannot.

    """
    try:
        await pc.setRemoteDescription(RTCSessionDescription(sdp, type_))
    except _MALFORMED as error:
        raise DescriptionRefused("offer_refused", f"it cannot be used: {_said(error)}") from error


async def set_local(pc: RTCPeerConnection) -> str:
    """
    Gather, and write our description: an offer, or the answer to what was set before.

    Raises:
        DescriptionRefused: If there is no answer to what was set before.

    """
    try:
        await pc.setLocalDescription()
    except _MALFORMED as error:
        raise DescriptionRefused("offer_refused", f"it cannot be answered: {_said(error)}") from error
    text: str = pc.localDescription.sdp
    return text


async def add_candidate(pc: RTCPeerConnection, candidate: Candidate) -> None:
    """
    Hand over a trickled candidate.

    Raises:
        DescriptionRefused: If it is none.

    """
    try:
        await pc.addIceCandidate(candidate_of(candidate))
    except _MALFORMED as error:
        raise DescriptionRefused("offer_refused", f"no candidate: {_said(error)}") from error


def candidate_of(candidate: Candidate) -> RTCIceCandidate | None:
    """
    A trickled candidate, None for the end of candidates.

    Raises:
        DescriptionRefused: If it is none.

    """
    line = candidate.candidate.removeprefix("candidate:")
    if not line:
        return None
    if not has_port(line):
        raise DescriptionRefused("offer_refused", "a candidate whose port is none")
    try:
        parsed = candidate_from_sdp(line)
    except _MALFORMED as error:
        raise DescriptionRefused("offer_refused", f"no candidate: {error}") from error
    parsed.sdpMid = candidate.sdp_mid
    parsed.sdpMLineIndex = 0 if candidate.sdp_mid is None else candidate.sdp_mline_index
    return parsed


def pair_of(pc: RTCPeerConnection) -> Pair | None:
    """What ICE has chosen, if it has."""
    pair = None if pc.sctp is None else pc.sctp.transport.transport._connection._nominated.get(1)  # noqa: SLF001
    if pair is None:
        return None
    local, remote = pair.local_candidate, pair.remote_candidate
    return Pair(local.type, f"{local.host}:{local.port}", remote.type, f"{remote.host}:{remote.port}")


def is_relayed(pair: Pair) -> bool:
    """Whether a TURN server stands in between, ours or theirs."""
    return RELAYED in (pair.local_type, pair.remote_type)


def acknowledged(pc: RTCPeerConnection) -> int:
    """A number that changes whenever the other side has acknowledged something (RFC 9260 section 3.3.4)."""
    return 0 if pc.sctp is None else int(pc.sctp._last_sacked_tsn)  # noqa: SLF001


def outstanding(pc: RTCPeerConnection) -> int:
    """Chunks and messages that the other side has not acknowledged, or that have not even left us."""
    sctp = pc.sctp
    return 0 if sctp is None else len(sctp._sent_queue) + len(sctp._outbound_queue) + len(sctp._data_channel_queue)  # noqa: SLF001


def incomplete_bytes(pc: RTCPeerConnection) -> int:
    """What messages take of which the rest has not come: the stack keeps them without any limit."""
    if pc.sctp is None:
        return 0
    chunks = (chunk for each in pc.sctp._inbound_streams.values() for chunk in each.reassembly)  # noqa: SLF001
    return sum(len(chunk.user_data) + CHUNK_COST for chunk in chunks)


def has_stream(pc: RTCPeerConnection, id_: int) -> bool:
    """Whether a stream has a data channel; it keeps one that is closed until both sides have reset it."""
    return pc.sctp is not None and id_ in pc.sctp._data_channels  # noqa: SLF001


def url_parts(url: str) -> tuple[str, str, int, str] | None:
    """Scheme, host, port and transport of a STUN or TURN URL; None if the stack cannot use it."""
    try:
        parts = parse_stun_turn_uri(url)
    except ValueError:
        return None
    return parts["scheme"], parts["host"], parts["port"], parts.get("transport", "udp")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _lossy(send: Callable[[bytes], Awaitable[None]]) -> Callable[[bytes], Awaitable[None]]:
    async def send_or_lose(data: bytes) -> None:
        try:
            await send(data)
        except ConnectionError:
            return

    return send_or_lose


class Chunks:
    """SCTP chunks with data, as they leave: how many, and how many of them not for the first time."""

    def __init__(self) -> None:
        self.sent = 0
        self.resent = 0


class ChunkTotals(Protocol):
    """Where the chunks of all connections are counted."""

    chunks_sent: int
    chunks_resent: int


def count_chunks(pc: RTCPeerConnection, totals: ChunkTotals) -> Chunks:
    """
    Count from now on what the association sends, which the stack does not.

    It notes each chunk that leaves in one place, before it counts how often that chunk was sent.
    """
    chunks, sctp = Chunks(), pc.sctp
    if sctp is None:
        return chunks
    note: Callable[[Any], None] = type(sctp)._flight_size_increase.__get__(sctp)  # noqa: SLF001

    def count(chunk: Any) -> None:
        chunks.sent += 1
        totals.chunks_sent += 1
        if chunk._sent_count:  # noqa: SLF001
            chunks.resent += 1
            totals.chunks_resent += 1
        note(chunk)

    sctp._flight_size_increase = count  # type: ignore[method-assign]  # noqa: SLF001
    return chunks


def counts_of(pc: RTCPeerConnection) -> dict[str, Any]:
    """What the stack knows of a transport; its ``getStats`` leaves out those that carry no media."""
    if pc.sctp is None:
        return {}
    (stats,) = pc.sctp.transport._get_stats().values()  # noqa: SLF001
    return {
        "packets_sent": stats.packetsSent,
        "packets_received": stats.packetsReceived,
        "bytes_sent": stats.bytesSent,
        "bytes_received": stats.bytesReceived,
        "dtls_state": stats.dtlsState,
        "ice_role": stats.iceRole,
        "congestion_window_bytes": pc.sctp._cwnd,  # noqa: SLF001
        "in_flight_bytes": pc.sctp._flight_size,  # noqa: SLF001
    }
