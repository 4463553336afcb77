"""
What the runtime itself counts.

A service declares its own metrics the same way, at the top of the module that moves them. All are in the
default registry of ``prometheus_client``. Labels are closed sets: never a DID, an id or a remote's text.
"""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

REQUEST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

SECURITY_REFUSALS = Counter(
    "aiconexus_security_refusals_total", "What was refused because somebody was not who they must be", ["problem"]
)
LOOP_EXCEPTIONS = Counter("aiconexus_runtime_loop_exceptions_total", "Exceptions that nobody awaited")
BUS_CONNECTED = Gauge("aiconexus_runtime_bus_connected", "Whether a server of the bus is there")
BUS_LOSSES = Counter("aiconexus_runtime_bus_losses_total", "Lost connections to the bus")
BUS_ERRORS = Counter("aiconexus_runtime_bus_errors_total", "Complaints of the bus, dropped messages included")
INFO = Gauge("aiconexus_runtime_info", "Always 1", ["service", "version", "environment"])


@cache
def requests_of(service: str) -> Counter:
    """Requests that a desk answered; ``outcome`` is ``ok`` or the name of a problem."""
    return Counter(f"aiconexus_{service}_requests_total", "Signed requests, answered", ["type", "outcome"])


@cache
def request_seconds_of(service: str) -> Histogram:
    """From the arrival of a request at the desk to its answer."""
    name = f"aiconexus_{service}_request_seconds"
    return Histogram(name, "From a request to its answer", ["type"], buckets=REQUEST_SECONDS)
