"""
What direct connections count, in the default registry of ``prometheus_client``.

Whoever sees something happen calls the function that is named after it. Messages are counted in plain numbers, which
cost nothing while one passes, and are read when somebody scrapes.
"""

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.vocabulary import SECURITY_INCIDENTS

PATHS = ("direct", "turn")
DTLS_INCIDENTS = frozenset(
    {"fingerprint_missing", "fingerprint_weak", "fingerprint_mismatch", "fingerprint_inconsistent"}
)
SIGNATURE_INCIDENTS = frozenset({"hello_invalid", "offer_hash_mismatch", "signature_invalid"})
CONNECTION_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
RTT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)

_connections = Counter("webrtc_peer_connections_total", "Peer connections that were created")
_active = Gauge("webrtc_peer_connections_active", "Peer connections that are open now, both HELLOs verified")
_connection_time = Histogram(
    "webrtc_connection_time_seconds", "From the begin of an attempt to the peer's HELLO", buckets=CONNECTION_SECONDS
)
_attempted = Counter("webrtc_connections_attempted_total", "Attempts to connect to a peer, asked for or answered")
_established = Counter("webrtc_connections_established_total", "Attempts that came to verified HELLOs")
_failed = Counter("webrtc_connections_failed_total", "Attempts that came to nothing")
_dropped = Counter("webrtc_connections_dropped_total", "Connections that fell silent or ended without being closed")
_retries = Counter("webrtc_connection_retries_total", "Attempts to replace a connection that was lost")
_turn_fallback = Counter("webrtc_turn_fallback_total", "Attempts that went on with TURN because nothing else worked")
_rotations = Counter("webrtc_key_rotations_total", "Connections replaced for fresh keys")
_errors = Counter("webrtc_errors_total", "Errors of the direct path, by problem", ["error_type"])
_dtls_failures = Counter("webrtc_dtls_validation_failures_total", "Fingerprints that were missing, weak or wrong")
_signature_failures = Counter(
    "webrtc_signature_verification_failures_total", "Descriptions, HELLOs and envelopes whose signature did not hold"
)
_security = Counter("webrtc_security_events_total", "Attempts to deceive this agent, by kind", ["event_type"])
_rtt = Histogram("webrtc_rtt_seconds", "Round trips of heartbeats, by path", ["path"], buckets=RTT_SECONDS)
_peers = Gauge("webrtc_peers", "Peers, by the road in use: direct, turn or relay", ["road"])
_ratings = Gauge("webrtc_peers_rated", "Peers with a connection, by its quality", ["rating"])
_channels = Gauge("webrtc_channels_open", "Channels of applications that are open")
_modes = Counter("webrtc_bandwidth_changes_total", "Changes of the bandwidth mode, by the new one", ["mode"])
_resumed = Counter("webrtc_channels_resumed_total", "Channels that went on in another connection")
_dropped_messages = Counter("webrtc_messages_dropped_total", "Messages that unreliable channels gave up at an end")

for _path in PATHS:
    _rtt.labels(_path)
for _event in sorted(SECURITY_INCIDENTS):
    _security.labels(_event)


class Traffic(Collector):
    """Messages of applications' channels, and the SCTP chunks of all connections."""

    def __init__(self) -> None:
        self.messages_sent = 0
        self.messages_received = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.chunks_sent = 0
        self.chunks_resent = 0

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What is scraped."""
        for name, (attribute, text) in TRAFFIC.items():
            yield CounterMetricFamily(name, text, value=getattr(self, attribute))


TRAFFIC = {
    "webrtc_messages_sent_total": ("messages_sent", "Messages given to the stack"),
    "webrtc_messages_received_total": ("messages_received", "Messages that came through channels"),
    "webrtc_message_bytes_sent_total": ("bytes_sent", "Bytes of messages given to the stack"),
    "webrtc_message_bytes_received_total": ("bytes_received", "Bytes of messages that came"),
    "webrtc_chunks_sent_total": ("chunks_sent", "SCTP data chunks sent, repetitions included"),
    "webrtc_chunks_resent_total": ("chunks_resent", "SCTP data chunks sent again: what was lost, or late"),
}
traffic = Traffic()
REGISTRY.register(traffic)


def note_created() -> None:
    """A peer connection of the stack was made."""
    _connections.inc()


def note_attempted() -> None:
    """An attempt to connect begins, on either side."""
    _attempted.inc()


def note_established(seconds: float) -> None:
    """An attempt came to verified HELLOs; the connection is active until ``note_ended``."""
    _established.inc()
    _connection_time.observe(seconds)
    _active.inc()


def note_ended() -> None:
    """A connection that was established is closed, whatever the cause."""
    _active.dec()


def note_failed(error: BaseException) -> None:
    """An attempt came to nothing."""
    _failed.inc()
    note_error(error)


def note_dropped() -> None:
    """An established connection fell silent or ended without being closed."""
    _dropped.inc()


def note_retried() -> None:
    """A lost connection is tried again."""
    _retries.inc()


def note_turn_fallback() -> None:
    """An attempt goes on with TURN."""
    _turn_fallback.inc()


def note_rotated() -> None:
    """A connection was replaced for fresh keys."""
    _rotations.inc()


def note_rtt(path: str, seconds: float) -> None:
    """A heartbeat was answered; ``path`` is ``direct`` or ``turn``."""
    _rtt.labels(path).observe(seconds)


def note_error(error: BaseException) -> None:
    """Something went wrong on the direct path."""
    _errors.labels(problem_of(error).name).inc()


def note_incident(event: str) -> None:
    """Something happened that INCIDENT has a word for; ordinary incidents have counters of their own."""
    if event in SECURITY_INCIDENTS:
        _security.labels(event).inc()
    if event in DTLS_INCIDENTS:
        _dtls_failures.inc()
    if event in SIGNATURE_INCIDENTS:
        _signature_failures.inc()


def note_road(before: str | None, after: str | None) -> None:
    """A peer's road changed: ``direct``, ``turn``, ``relay``, or None for a peer that is not there."""
    if before is not None:
        _peers.labels(before).dec()
    if after is not None:
        _peers.labels(after).inc()


def note_rating(before: str | None, after: str | None) -> None:
    """A peer's quality changed."""
    if before is not None:
        _ratings.labels(str(before)).dec()
    if after is not None:
        _ratings.labels(str(after)).inc()


def note_channel(opened: bool) -> None:  # noqa: FBT001 - a fact, not an option
    """A channel was opened, or closed."""
    _channels.inc(1 if opened else -1)


def note_mode(mode: str) -> None:
    """The bandwidth mode of a peer changed."""
    _modes.labels(mode).inc()


def note_resumed() -> None:
    """A channel goes on in another connection."""
    _resumed.inc()


def note_message_dropped(count: int = 1) -> None:
    """Messages of an unreliable channel were given up here."""
    _dropped_messages.inc(count)
