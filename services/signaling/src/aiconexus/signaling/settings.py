"""What an operator may set; everything else is a constant of the protocol or stands beside what it governs."""

from typing import Annotated

from msgspec import Meta

from aiconexus.runtime.settings import ServiceSettings

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class SignalingSettings(ServiceSettings, frozen=True, kw_only=True):
    """``AICONEXUS_SIGNALING_<NAME>``."""

    sender_rate_per_second: Positive = 200
    """Live envelopes per second that one agent may hand to one replica in the long run."""

    sender_burst: Positive = 1_000
    """How many it may hand over at once after a rest."""

    senders_max: Positive = 100_000
    """Agents whose budgets and records are remembered; the one that was quiet longest is forgotten first."""

    registry_cache_seconds: Seconds = 3.0
    """How long a registry or presence record counts after it was read: a revocation takes this long at most."""
