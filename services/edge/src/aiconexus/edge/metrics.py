"""What an edge counts beside what every service counts."""

from prometheus_client import Counter, Gauge, Histogram

from aiconexus.runtime.metrics import REQUEST_SECONDS

CONNECTIONS = Gauge("aiconexus_edge_connections", "Open WebSockets", ["subprotocol"])
AGENTS = Gauge("aiconexus_edge_agents", "WebSockets whose agent has registered")
HANDSHAKES = Counter(
    "aiconexus_edge_handshakes_total", "Attempts to open a WebSocket, by what became of them", ["outcome"]
)
HANDSHAKE_SECONDS = Histogram(
    "aiconexus_edge_handshake_seconds", "From REGISTER to REGISTERED", buckets=REQUEST_SECONDS
)
CLOSES = Counter("aiconexus_edge_closes_total", "Ended WebSockets, by close code", ["code"])
FRAMES = Counter("aiconexus_edge_frames_total", "WebSocket messages of agents, by where they went", ["route"])
ERRORS = Counter("aiconexus_edge_errors_total", "Frames that were answered with an ERROR here", ["problem"])
ANSWER_SECONDS = Histogram(
    "aiconexus_edge_answer_seconds", "From a request to the service's answer", ["route"], buckets=REQUEST_SECONDS
)
PUSHES = Counter("aiconexus_edge_pushes_total", "Envelopes that were pushed to agents", ["kind"])
HTTP_REQUESTS = Counter("aiconexus_edge_http_requests_total", "Answers over HTTP", ["path", "status"])
