"""
What is said to and by the retry service, and between it and the relay.

A job is one sealed envelope, unchanged, and the policy by which it is put into its recipient's mailbox again. Its
name is the sender's token, a dot, and the envelope's id.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from aiconexus.protocol import limits
from aiconexus.protocol.bodies import Body, Count, Did, LongText, Page
from aiconexus.protocol.policy import RetryPolicy

JOB_MAX_CHARACTERS = limits.DID_MAX_CHARACTERS + 1 + limits.ID_MAX_CHARACTERS
PLACE_MAX = 64
LOOK_MAX = 1_000

Job = Annotated[str, Meta(max_length=JOB_MAX_CHARACTERS, pattern=r"^z[A-Za-z0-9]+\.[A-Za-z0-9._:-]+$(?!\n)")]
Cursor = Annotated[str, Meta(max_length=64)]
ProblemName = Annotated[str, Meta(max_length=64, pattern=r"^[a-z0-9_.-]+$(?!\n)")]


class JobState(StrEnum):
    """How far a job has come; each of the last three is an end, and dead ones can be sent again."""

    WAITING = "waiting"
    """For the time of its next attempt."""
    PLACED = "placed"
    """In the recipient's mailbox; nobody knows yet how it went."""
    DYING = "dying"
    """It is given up, and its sender is about to be told."""
    DONE = "done"
    """The recipient took it and did not give it back."""
    DEAD = "dead"
    """A dead letter."""
    WITHDRAWN = "withdrawn"
    """Taken back, or dropped from the dead letters."""


class Schedule(Body, frozen=True):
    """
    From the sender of ``envelope``, to retry: deliver this, and keep trying.

    The envelope is sealed by the one who asks, an agent or a service, and addressed to an agent. ``not_before_ms`` puts
    the first attempt off.
    """

    TYPE: ClassVar[str] = "SCHEDULE"
    envelope: bytes
    policy: RetryPolicy = RetryPolicy()
    not_before_ms: Count = 0


class Return(Body, frozen=True):
    """
    From the recipient of ``envelope``, to retry: I failed at it, give it to me again later.

    Relay says it of what a connected recipient does not acknowledge; that stays where it lies. A recipient says it
    before it acknowledges the envelope. ``sequence`` is its place in the mailbox, which names the attempt.
    ``policy`` counts only if the sender brought none. Without ``retryable`` it becomes a dead letter at once.
    """

    TYPE: ClassVar[str] = "RETURN"
    envelope: bytes
    sequence: Count
    problem: ProblemName = "handler_failed"
    message: LongText | None = None
    retryable: bool = True
    policy: RetryPolicy | None = None


class Scheduled(Body, frozen=True):
    """
    The answer to SCHEDULE, RETURN and REQUEUE: the retry service answers for the envelope now.

    ``duplicate`` if it did so before; ``next_ms`` is when the next attempt is due, 0 if none is.
    """

    TYPE: ClassVar[str] = "SCHEDULED"
    job: Job
    state: JobState
    next_ms: Count = 0
    duplicate: bool = False


class Withdraw(Body, frozen=True):
    """To retry: forget this job."""

    TYPE: ClassVar[str] = "WITHDRAW"
    job: Job


class Withdrawn(Body, frozen=True):
    """The answer to WITHDRAW; another ``state`` than ``withdrawn`` says that the job had ended before."""

    TYPE: ClassVar[str] = "WITHDRAWN"
    job: Job
    state: JobState


class JobCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What retry knows of one job.

    ``attempts`` counts those that were begun, ``failures`` those that failed since the job began or was sent again.
    ``problem`` and ``message`` are of the last failure, ``next_ms`` is when the next attempt is due, 0 if none is.
    """

    job: Job
    sender: Did
    recipient: Did
    type: str
    state: JobState
    attempts: Count = 0
    failures: Count = 0
    created_ms: Count
    changed_ms: Count
    next_ms: Count = 0
    ends_ms: Count = 0
    problem: str | None = None
    message: str | None = None


class AttemptNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a job's history; ``outcome`` is ``placed``, ``done`` or the name of a problem."""

    attempt: Count
    at_ms: Count
    outcome: str
    message: str | None = None


class Jobs(Body, frozen=True):
    """
    To retry: list jobs. All filters must fit; an agent sees those that it sent or is to receive.

    Without ``sender`` and ``recipient`` an agent gets those that it sent, an operator all. ``cursor`` continues a page.
    """

    TYPE: ClassVar[str] = "JOBS"
    state: JobState | None = None
    sender: Did | None = None
    recipient: Did | None = None
    cursor: Cursor | None = None
    limit: Page = limits.PAGE_MAX


class DeadLetters(Body, frozen=True):
    """Likewise of what was given up."""

    TYPE: ClassVar[str] = "DEAD_LETTERS"
    sender: Did | None = None
    recipient: Did | None = None
    cursor: Cursor | None = None
    limit: Page = limits.PAGE_MAX


class JobList(Body, frozen=True):
    """The answer to JOBS and DEAD_LETTERS; ``cursor`` is there if more may follow."""

    TYPE: ClassVar[str] = "JOB_LIST"
    jobs: tuple[JobCard, ...] = ()
    cursor: str | None = None


class ShowJob(Body, frozen=True):
    """To retry: all about one job."""

    TYPE: ClassVar[str] = "JOB"
    job: Job


class JobShown(Body, frozen=True):
    """The answer to JOB: its card, its policy, the latest lines of its history, and the sealed envelope."""

    TYPE: ClassVar[str] = "JOB_SHOWN"
    card: JobCard
    policy: RetryPolicy
    history: tuple[AttemptNote, ...] = ()
    envelope: bytes | None = None


class Requeue(Body, frozen=True):
    """To retry: send this dead letter again, under its old policy or a new one."""

    TYPE: ClassVar[str] = "REQUEUE"
    job: Job
    policy: RetryPolicy | None = None


class Drop(Body, frozen=True):
    """To retry: forget this dead letter."""

    TYPE: ClassVar[str] = "DROP"
    job: Job


class Dropped(Body, frozen=True):
    """The answer to DROP."""

    TYPE: ClassVar[str] = "DROPPED"
    job: Job


class PlaceItem(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt at one sealed envelope; ``attempt`` tells it from earlier ones."""

    envelope: bytes
    attempt: Count


class Place(Body, frozen=True):
    """From retry, to relay: put these into their recipients' mailboxes, as if their senders had submitted them."""

    TYPE: ClassVar[str] = "PLACE"
    items: Annotated[tuple[PlaceItem, ...], Meta(min_length=1, max_length=PLACE_MAX)]


class PlacedItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one was put, or why not: ``sequence`` 0 means that ``problem`` says it."""

    sequence: Count = 0
    problem: str | None = None
    message: str | None = None
    retryable: bool = False
    retry_after_ms: Count = 0


class Placed(Body, frozen=True):
    """The answer to PLACE, in the same order."""

    TYPE: ClassVar[str] = "PLACED"
    items: tuple[PlacedItem, ...]


class Look(Body, frozen=True):
    """From retry, to relay: which of these are still in a mailbox? With ``remove``, take them out."""

    TYPE: ClassVar[str] = "LOOK"
    sequences: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=LOOK_MAX)]
    remove: bool = False


class Looked(Body, frozen=True):
    """The answer to LOOK: those that were there."""

    TYPE: ClassVar[str] = "LOOKED"
    present: tuple[Count, ...] = ()
