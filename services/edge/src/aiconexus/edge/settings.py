"""What an operator can set of an edge."""

from typing import Annotated, Literal

from msgspec import Meta

from aiconexus.protocol.limits import TEXT_MAX_BYTES
from aiconexus.runtime.settings import Port, Seconds, ServiceSettings

Positive = Annotated[int, Meta(ge=1)]
Rate = Annotated[float, Meta(gt=0)]
RateOrNone = Annotated[float, Meta(ge=0)]
SecondsOrNever = Annotated[float, Meta(ge=0)]

ANY_ORIGIN = "*"


class EdgeSettings(ServiceSettings, frozen=True, kw_only=True):
    """Everything of every service, and of this one."""

    port: Port = 8080
    """Serves /ws, /health and /agents on ``host``."""
    subprotocols: Annotated[tuple[Literal["aiconexus.v1", "ioap.v1"], ...], Meta(min_length=1)] = (
        "aiconexus.v1",
        "ioap.v1",
    )
    """WebSocket subprotocols that are spoken."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may use this edge, over HTTP and WebSocket; ``*`` means all. Others send no Origin."""
    agents_public: bool = False
    """Whether /agents answers strangers, too."""

    max_connections: Positive = 1000
    """WebSockets at the same time."""
    connection_timeout_seconds: Seconds = 30.0
    """How long a connection may take to register."""
    handshakes_per_second: RateOrNone = 0.0
    """New WebSockets from one address; 0 does not limit them, which is right behind a proxy."""
    handshakes_burst: Positive = 50
    """How many of them may come at once."""

    heartbeat_seconds: SecondsOrNever = 20.0
    """After this much silence an agent is pinged; 0 never pings."""
    pong_seconds: Seconds = 10.0
    """How long it may take to give a sign of life then."""
    agent_timeout_seconds: Seconds = 300.0
    """After this much silence the connection is closed, pinged or not."""
    cleanup_seconds: Seconds = 60.0
    """How often that is looked for, and the sessions here are compared with the presence that everybody sees."""
    close_seconds: Seconds = 3.0
    """How long an agent may take to answer a close before it is cut off."""

    frame_max_bytes: Annotated[int, Meta(ge=TEXT_MAX_BYTES)] = 128 * 1024
    """A larger WebSocket message closes the connection; one between this and the protocol's limit gets an ERROR."""
    frames_per_second: Rate = 1000.0
    """Of one agent, on average."""
    frames_burst: Positive = 2000
    """How many of them may come at once."""
    requests_max: Positive = 256
    """Unanswered requests of one connection; more are not read from its socket."""
    request_timeout_seconds: Seconds = 20.0
    """How long a service may take to answer an agent."""
    strikes_max: Positive = 16
    """Bad frames that are answered with an ERROR before the connection is closed."""
    strikes_seconds: Seconds = 60.0
    """After this a bad frame is forgotten."""
    outgoing_max_messages: Positive = 1024
    """Frames that may wait for a slow reader."""
    outgoing_max_bytes: Annotated[int, Meta(ge=2**21)] = 4 * 1024 * 1024
    """Likewise in bytes."""

    def __post_init__(self) -> None:
        """See ``load``."""
        for origin in self.cors_origins:
            if origin != ANY_ORIGIN and not _is_origin(origin):
                message = f"{origin!r} is no web origin like https://example.org or http://localhost:3000"
                raise ValueError(message)


def _is_origin(text: str) -> bool:
    scheme, separator, host = text.partition("://")
    return bool(separator and host) and scheme in ("http", "https") and "/" not in host
