"""The three streams of the service, in the server's own words."""

from typing import Any

from aiconexus.protocol import subjects
from aiconexus.protocol.records import DEAD, JOBS, RETRY
from aiconexus.retry.settings import RetrySettings

SECOND = 10**9
DUPLICATES_SECONDS = 120
ACK_PENDING_MAX = 20_000
"""Timers that went off and may be with the replicas at once."""


def stream_configs(settings: RetrySettings) -> tuple[dict[str, Any], ...]:
    """Timers, jobs and dead letters."""
    shared = {
        "storage": "file",
        "num_replicas": settings.stream_replicas,
        "max_bytes": settings.streams_max_bytes,
        "allow_direct": True,
        "allow_msg_ttl": True,
        "duplicate_window": DUPLICATES_SECONDS * SECOND,
    }
    kept = int(settings.dead_letters_kept_seconds * SECOND)
    one_each = {"max_msgs_per_subject": 1, "discard": "old"}
    return (
        {
            **shared,
            "name": RETRY,
            "subjects": [subjects.all_retries()],
            "retention": "workqueue",
            "allow_msg_schedules": True,
        },
        {**shared, **one_each, "name": JOBS, "subjects": [subjects.all_jobs()]},
        {
            **shared,
            **one_each,
            "name": DEAD,
            "subjects": [subjects.all_dead_letters()],
            "max_age": kept,
            # The server takes none that is longer than the age.
            "duplicate_window": min(DUPLICATES_SECONDS * SECOND, kept),
        },
    )
