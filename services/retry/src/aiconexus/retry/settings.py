"""What an operator may set; everything else is a constant of the protocol or stands beside what it governs."""

from typing import Annotated

from msgspec import Meta

from aiconexus.runtime.settings import ServiceSettings

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Kept = Annotated[float, Meta(ge=1)]
"""Seconds; the server forgets no sooner."""


class RetrySettings(ServiceSettings, frozen=True, kw_only=True):
    """``AICONEXUS_RETRY_<NAME>``."""

    stream_replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    """NATS servers that keep timers, jobs and dead letters."""

    streams_max_bytes: int = -1
    """Bytes of each of the three streams; -1 leaves it to the server's disk limit."""

    sender_jobs_max: Positive = 10_000
    """Open jobs that one sender may have."""

    sender_rate_per_second: Positive = 500
    """Jobs per second that one agent may hand to one replica in the long run."""

    sender_burst: Positive = 2_000
    """How many it may hand over at once after a rest."""

    question_rate_per_second: Positive = 100
    """Questions about jobs, and changes of them, that one replica takes of an agent per second in the long run; of
    operators it takes all."""

    question_burst: Positive = 1_000
    """How many at once after a rest."""

    sender_queue_max: Positive = 512
    """Timers of one sender that may wait in one replica once they went off; further ones are put off."""

    sender_steps_per_second: Positive = 500
    """How many of those that were put off come back in a second, for each sender."""

    senders_max: Positive = 100_000
    """Agents whose budgets are remembered; the one that was quiet longest is forgotten first."""

    steps_max: Positive = 64
    """Jobs that one replica works on at the same time; half of them at most for one sender."""

    look_seconds: Seconds = 5.0
    """How soon after an attempt the mailbox is looked at; each time that it lies there the next look comes later."""

    look_max_seconds: Seconds = 300.0
    """The longest time between two looks."""

    finished_kept_seconds: Kept = 3_600.0
    """How long a job can be asked about after it was done or withdrawn."""

    dead_letters_kept_seconds: Kept = 30 * 24 * 3_600.0
    """How long a dead letter is kept."""

    ack_wait_seconds: Annotated[float, Meta(ge=5)] = 30.0
    """After this long another replica takes over what a dead one had begun."""
