"""
A job, and what can happen to it: pure functions of the record, the time and a random number.

The record says what is to be done next, and when (``next_ms``). A timer only wakes somebody up who reads it, so that a
timer too many, or one that goes off early, does no harm.
"""

import math

import msgspec

from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.job_bodies import AttemptNote, JobCard, JobState
from aiconexus.protocol.policy import RetryPolicy, RetryState, deadline_ms
from aiconexus.protocol.subjects import job_key

HISTORY_MAX = 32
MESSAGE_CHARACTERS = 256
NOTICE_RETRY_MS = 30_000

ENDED = frozenset({JobState.DONE, JobState.DEAD, JobState.WITHDRAWN})
"""States without a timer."""

EXPIRED = "expired"
DEADLINE = "deadline"
TIMEOUT = "timeout"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed."""

    problem: str
    message: str | None = None
    retryable: bool = True
    retry_after_ms: int = 0


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often a mailbox is looked at, in milliseconds."""

    first_ms: int = 1_000
    longest_ms: int = 60_000


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    All that is known of a job but the envelope itself.

    ``entry`` is the place in the mailbox where the envelope may still lie, 0 if it surely does not; ``sequence`` the
    newest place where it ever was. ``attempt_ends_ms`` is when the present attempt has failed, 0 if never. ``grave`` is
    the place of a dead letter that was sent again and is yet to be forgotten, 0 if there is none.
    """

    sender: str
    recipient: str
    id: str
    type: str
    digest: bytes
    policy: RetryPolicy
    state: JobState
    retry: RetryState
    created_ms: int
    changed_ms: int
    next_ms: int
    ends_ms: int
    attempts: int = 0
    entry: int = 0
    sequence: int = 0
    attempt_ends_ms: int = 0
    grave: int = 0
    problem: str | None = None
    message: str | None = None
    history: tuple[AttemptNote, ...] = ()

    @property
    def job(self) -> str:
        """Its name for everybody."""
        return f"{self.sender.removeprefix(PREFIX)}.{self.id}"

    @property
    def key(self) -> str:
        """Its place in the streams."""
        return key_of(self.sender, self.id, self.recipient)

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.state not in ENDED

    @property
    def due_ms(self) -> int:
        """When the next attempt is due, 0 if none is: of the looks into a mailbox only the first is noted."""
        return self.next_ms if self.state is JobState.WAITING else 0

    @property
    def last_ms(self) -> float:
        """When there is no point in going on: the envelope's end or the policy's deadline."""
        return min(self.ends_ms, deadline_ms(self.policy, self.retry.started_ms))


def key_of(sender: str, id_: str, recipient: str) -> str:
    """The place of a job in the streams; a DID's token is its multibase part."""
    return f"{job_key(sender.removeprefix(PREFIX), id_)}.{recipient.removeprefix(PREFIX)}"


def opened(envelope: Envelope, digest: bytes, policy: RetryPolicy, now_ms: int, not_before_ms: int = 0) -> JobRecord:
    """A new job for a verified envelope."""
    first_ms = max(now_ms, not_before_ms)
    return JobRecord(
        sender=envelope.sender,
        recipient=envelope.recipient or "",
        id=envelope.id,
        type=envelope.type,
        digest=digest,
        policy=policy,
        state=JobState.WAITING,
        retry=RetryState(started_ms=first_ms),
        created_ms=now_ms,
        changed_ms=now_ms,
        next_ms=first_ms,
        ends_ms=envelope.ends_ms,
    )


def placed(record: JobRecord, sequence: int, now_ms: int, pace: Pace) -> JobRecord:
    """The envelope lies in the mailbox, newly or still: an attempt begins."""
    timeout = record.policy.attempt_timeout_seconds
    begun = _changed(
        record,
        JobState.PLACED,
        now_ms,
        attempts=record.attempts + 1,
        entry=sequence,
        sequence=sequence,
        attempt_ends_ms=0 if timeout is None else now_ms + math.ceil(timeout * 1000),
    )
    noted = _noted(begun, now_ms, JobState.PLACED.value)
    return msgspec.structs.replace(noted, next_ms=next_look_ms(noted, now_ms, pace))


def seen(record: JobRecord, now_ms: int, random01: float) -> JobRecord:
    """
    The envelope of the present attempt lies there untouched.

    Returns:
        The same record, if it may lie there longer.

    """
    if now_ms >= record.last_ms:
        return overdue(record, now_ms)
    if record.attempt_ends_ms and now_ms >= record.attempt_ends_ms:
        return failed(record, Failure(problem=TIMEOUT), now_ms, random01)
    return record


def next_look_ms(record: JobRecord, now_ms: int, pace: Pace) -> int:
    """When to look into the mailbox: again after as long as the attempt has lasted, so that looks become rare."""
    wait_ms = min(max(pace.first_ms, now_ms - record.changed_ms), pace.longest_ms)
    ends = [now_ms + wait_ms, *([record.attempt_ends_ms] if record.attempt_ends_ms else [])]
    return int(min(*ends, record.last_ms))


def failed(record: JobRecord, failure: Failure, now_ms: int, random01: float) -> JobRecord:
    """An attempt failed: there is another one, or none."""
    noted = _noted(record, now_ms, failure.problem, failure.message)
    if not record.policy.is_worth(failure.problem, retryable=failure.retryable):
        hopeless = msgspec.structs.replace(noted, retry=record.retry.after_hopeless_failure())
        return given_up(hopeless, now_ms, failure.problem, failure.message)
    retry = record.retry.after_failure(record.policy, now_ms, random01, at_least_seconds=failure.retry_after_ms / 1000)
    noted = msgspec.structs.replace(noted, retry=retry, problem=failure.problem, message=_short(failure.message))
    if retry.given_up is not None:
        return given_up(noted, now_ms, retry.given_up.value, f"{failure.problem}: {failure.message or ''}")
    next_ms = retry.next_ms or now_ms
    if next_ms >= record.ends_ms:
        return given_up(noted, now_ms, EXPIRED, f"{failure.problem}: {failure.message or ''}")
    return _changed(noted, JobState.WAITING, now_ms, next_ms=next_ms, attempt_ends_ms=0)


def returned(record: JobRecord, failure: Failure, sequence: int, now_ms: int, random01: float) -> JobRecord:
    """
    The recipient gave the envelope back.

    Args:
        record: Of an open job.
        failure: What it says.
        sequence: Of the mailbox entry that it gives back.
        now_ms: Now.
        random01: Random number in [0, 1).

    Returns:
        The same record, if this attempt has been counted before.

    """
    if record.state is JobState.DYING or sequence < record.sequence:
        return record
    without = msgspec.structs.replace(record, entry=0, sequence=sequence)
    if sequence == record.sequence and record.state is JobState.WAITING:
        return record if record.entry == 0 else without
    if record.state is JobState.WAITING:
        # It was placed by somebody who died before noting it.
        without = msgspec.structs.replace(without, attempts=record.attempts + 1)
    return failed(without, failure, now_ms, random01)


def first_returned(record: JobRecord, failure: Failure, sequence: int, now_ms: int, random01: float) -> JobRecord:
    """The recipient gave back what its sender had not left to us: this was the first attempt."""
    return failed(msgspec.structs.replace(record, attempts=1, sequence=sequence), failure, now_ms, random01)


def taken_over(record: JobRecord, failure: Failure, sequence: int, now_ms: int, random01: float) -> JobRecord:
    """The mailbox did its part without us, and the envelope still lies there: this was the first attempt."""
    return failed(
        msgspec.structs.replace(record, attempts=1, entry=sequence, sequence=sequence), failure, now_ms, random01
    )


def overdue(record: JobRecord, now_ms: int) -> JobRecord:
    """The time is over."""
    why = EXPIRED if now_ms >= record.ends_ms else DEADLINE
    return given_up(record, now_ms, why, record.message if record.problem is None else record.problem)


def given_up(record: JobRecord, now_ms: int, problem: str, message: str | None = None) -> JobRecord:
    """Nobody tries again; its sender is to be told at once."""
    noted = msgspec.structs.replace(record, problem=problem, message=_short(message))
    return _changed(noted, JobState.DYING, now_ms, next_ms=now_ms, attempt_ends_ms=0)


def told_later(record: JobRecord, now_ms: int, retry_after_ms: int) -> JobRecord:
    """The sender has no room for the notice yet."""
    return msgspec.structs.replace(record, next_ms=now_ms + max(NOTICE_RETRY_MS, retry_after_ms))


def ended(record: JobRecord, state: JobState, now_ms: int) -> JobRecord:
    """Done, dead or withdrawn."""
    return _noted(_changed(record, state, now_ms, next_ms=0, attempt_ends_ms=0), now_ms, state.value)


def requeued(record: JobRecord, grave: int, policy: RetryPolicy | None, now_ms: int) -> JobRecord:
    """A dead letter is sent again, as if nothing had failed; its attempts go on counting."""
    again = _changed(record, JobState.WAITING, now_ms, next_ms=now_ms, entry=0, grave=grave)
    again = msgspec.structs.replace(
        again, policy=policy or record.policy, retry=RetryState(started_ms=now_ms), problem=None, message=None
    )
    return _noted(again, now_ms, "requeued")


def card_of(record: JobRecord) -> JobCard:
    """What others may read of it."""
    return JobCard(
        job=record.job,
        sender=record.sender,
        recipient=record.recipient,
        type=record.type,
        state=record.state,
        attempts=record.attempts,
        failures=record.retry.failures,
        created_ms=record.created_ms,
        changed_ms=record.changed_ms,
        next_ms=record.due_ms,
        ends_ms=record.ends_ms,
        problem=record.problem,
        message=record.message,
    )


def _changed(record: JobRecord, state: JobState, now_ms: int, **fields: int) -> JobRecord:
    return msgspec.structs.replace(record, state=state, changed_ms=now_ms, **fields)


def _noted(record: JobRecord, now_ms: int, outcome: str, message: str | None = None) -> JobRecord:
    note = AttemptNote(attempt=record.attempts, at_ms=now_ms, outcome=outcome, message=_short(message))
    return msgspec.structs.replace(record, history=(*record.history, note)[-HISTORY_MAX:])


def _short(message: str | None) -> str | None:
    return None if message is None else message[:MESSAGE_CHARACTERS]
