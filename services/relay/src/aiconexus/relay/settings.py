"""What an operator may set; everything else is a constant of the protocol or stands beside what it governs."""

from typing import Annotated

from msgspec import Meta

from aiconexus.runtime.settings import ServiceSettings

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class RelaySettings(ServiceSettings, frozen=True, kw_only=True):
    """``AICONEXUS_RELAY_<NAME>``."""

    mailbox_max_envelopes: Positive = 1_000
    """Envelopes that one mailbox holds; a further one is refused."""

    mailbox_max_bytes: int = -1
    """Bytes that all mailboxes hold together; -1 leaves it to the server's disk limit."""

    stream_replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    """NATS servers that keep the mailboxes."""

    sender_rate_per_second: Positive = 1_000
    """Envelopes per second that one agent may hand to one replica in the long run."""

    sender_burst: Positive = 2_000
    """How many it may hand over at once after a rest."""

    senders_max: Positive = 100_000
    """Agents whose budgets and records are remembered; the one that was quiet longest is forgotten first."""

    registry_cache_seconds: Seconds = 3.0
    """How long a registry or presence record counts after it was read: a revocation takes this long at most."""

    pending_max: Positive = 8_192
    """Envelopes that may wait for the stream's word at once; further ones are told to come again."""

    pending_max_bytes: Positive = 64 * 1024 * 1024
    """Likewise in bytes."""

    publish_budget_seconds: Seconds = 15.0
    """How long an envelope is offered to the stream before its sender is told to try again."""

    sweep_seconds: Seconds = 1.0
    """Between two looks for expired envelopes."""

    sweep_entries_max: Positive = 100_000
    """Expiry dates kept in memory; with more, the mailboxes are walked again when these have passed."""

    ack_wait_seconds: Annotated[float, Meta(ge=0)] = 21_600.0
    """How long a recipient that is connected may leave an envelope unacknowledged before retry takes it over, and gives
    it up after three times as long; must be longer than mail waits for its turn and any handler takes. 0: for ever."""

    lease_seconds: Annotated[float, Meta(ge=2)] = 10.0
    """After this long without a sign of the replica that expires envelopes, another one takes over."""
