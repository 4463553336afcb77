"""
What identity writes into its buckets and other services read.

REGISTRY: token -> RegistryRecord. PRESENCE: token -> PresenceRecord. EDGES (written by edges): edge id -> EdgeLease.
"""

from typing import ClassVar

import msgspec

from aiconexus.protocol.bodies import Policy, Road

REGISTRY = "REGISTRY"
PRESENCE = "PRESENCE"
EDGES = "EDGES"

RELAY = "RELAY"
"""A bucket of relay's own: which of its replicas does what only one may do."""

MAILBOX = "MAILBOX"
"""The stream of all mailboxes; relay writes it."""

RETRY, JOBS, DEAD = "RETRY", "JOBS", "DEAD"
"""The streams of timers, of jobs and of dead letters; retry writes them."""

DUE = "due"
"""The consumer of timers that went off."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value in a bucket, msgpack."""

    BUCKET: ClassVar[str]


class RegistryRecord(Record, frozen=True, kw_only=True):
    """Everybody who has ever registered; ``revoked_ms`` 0 means that the key is good."""

    BUCKET: ClassVar[str] = REGISTRY
    did: str
    name: str | None = None
    capabilities: tuple[str, ...] = ()
    codecs: tuple[int, ...] = (1, 2)
    policy: Policy = Policy.ANYONE
    callers: tuple[str, ...] = ()
    registered_ms: int
    updated_ms: int
    revoked_ms: int = 0


class PresenceRecord(Record, frozen=True, kw_only=True):
    """
    Who is connected: ``instance`` is the edge's id or the NATS server's name.

    ``renewed_ms`` is when the session last registered again; 0 means that it never did.
    """

    BUCKET: ClassVar[str] = PRESENCE
    did: str
    session: str
    road: Road
    instance: str
    since_ms: int
    renewed_ms: int = 0


class EdgeLease(Record, frozen=True, kw_only=True):
    """An edge lives; the bucket forgets it ``EDGE_LEASE_SECONDS`` after its last sign."""

    BUCKET: ClassVar[str] = EDGES
    edge: str
    since_ms: int


EDGE_LEASE_SECONDS = 15
EDGE_RENEWAL_SECONDS = 5
