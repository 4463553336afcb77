"""
Do what a job's record says is to be done next.

Every step can be done twice without harm, because anybody may die in the middle of one: what it changes outside has a
name of its own (the id of an attempt, of a notice, the place of a dead letter), the record is changed only by whoever
read its present revision, and the next timer is set before the one that went off is acknowledged.
"""

import random
from collections.abc import Callable, Mapping

import msgspec
from prometheus_client import Counter, Histogram

from aiconexus.protocol.errors import WrongRevision
from aiconexus.protocol.job_bodies import JobState, PlacedItem
from aiconexus.protocol.keys import SigningKey
from aiconexus.retry import job
from aiconexus.retry.job import Failure, JobRecord, Pace
from aiconexus.retry.mail import Mail
from aiconexus.retry.notices import notice_of
from aiconexus.retry.store import Found, Store
from aiconexus.retry.timers import Timers
from aiconexus.runtime.logs import Log

ATTEMPTS = Counter("aiconexus_retry_attempts", "Attempts that were begun.")
FAILED = Counter("aiconexus_retry_attempts_failed", "Attempts that failed and are followed by another one.", ["cause"])
ENDED = Counter("aiconexus_retry_jobs_ended", "Jobs that came to an end.", ["state"])
LATENESS = Histogram(
    "aiconexus_retry_lateness_seconds",
    "From the time for which an attempt was planned to its beginning.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

EARLY_MS = 250
"""A timer may go off so much before its time by our clock: the server's is another. Nobody else's haste is excused."""

LETTER_LOST = "envelope_lost"


class Steps:
    """
    What is done to jobs.

    Args:
        store: Jobs and dead letters.
        timers: Wake us.
        mail: The mailboxes.
        key: Signs notices.
        services: The DIDs of the services by name.
        pace: Of the looks into mailboxes.
        now_ms: A clock in milliseconds since the epoch.
        log: Of the process.

    """

    def __init__(
        self,
        store: Store,
        timers: Timers,
        mail: Mail,
        *,
        key: SigningKey,
        services: Mapping[str, str],
        pace: Pace,
        now_ms: Callable[[], int],
        log: Log,
    ) -> None:
        self._store = store
        self._timers = timers
        self._mail = mail
        self._key = key
        self._services = services
        self._pace = pace
        self._now_ms = now_ms
        self._log = log

    async def advance(self, key: str) -> None:
        """
        Do all that is due for the job at a key, and set its next timer.

        Raises:
            BusError: If the bus or the relay is away; nothing is lost.
            RemoteProblem: If the relay refuses to be asked.

        """
        while True:
            found = await self._store.open_now(key)
            if found is None:
                return
            record = found.record
            if record.next_ms > self._now_ms() + EARLY_MS:
                await self._timers.set(key, record.next_ms)
                return
            changed = await self._next(record)
            if changed == record:
                # Nothing happened but a look, which is not worth a line in the record.
                await self._timers.set(key, job.next_look_ms(record, self._now_ms(), self._pace))
                return
            try:
                await self._save(found, changed, "timeout" if record.state is JobState.PLACED else "relay")
            except WrongRevision:
                await self._take_back(record, changed)
                continue
            if changed.is_open and changed.next_ms > self._now_ms():
                await self.wake(changed)
                return

    async def wake(self, record: JobRecord) -> None:
        """
        Set the timer of an open job.

        Raises:
            BusError: If the bus is away.

        """
        await self._timers.set(record.key, record.next_ms)

    async def save(self, found: Found, record: JobRecord) -> None:
        """
        Write what somebody has made of a job, and set its next timer.

        Raises:
            WrongRevision: If somebody else changed it in between.
            BusError: If the bus is away.

        """
        await self._save(found, record, "recipient")
        if record.is_open:
            await self.wake(record)

    async def _save(self, found: Found, record: JobRecord, cause: str) -> None:
        await self._store.save(found, record)
        self._tell(found.record, record, cause)

    async def _take_back(self, before: JobRecord, changed: JobRecord) -> None:
        """Somebody changed the job while it was placed: if that was to withdraw it, nobody shall get it."""
        if changed.entry not in (0, before.entry) and await self._store.open_now(changed.key) is None:
            await self._mail.remove(changed.entry)

    async def _next(self, record: JobRecord) -> JobRecord:
        if record.state is JobState.DYING:
            return await self._bury(record)
        if record.entry and not await self._mail.has(record.entry):
            return job.ended(record, JobState.DONE, self._now_ms())
        if record.state is JobState.PLACED:
            return job.seen(record, self._now_ms(), random.random())  # noqa: S311 - spreads load
        return await self._attempt(record)

    async def _attempt(self, record: JobRecord) -> JobRecord:
        LATENESS.observe(max(self._now_ms() - record.next_ms, 0) / 1000)
        if record.grave:
            await self._store.unbury(record.key, record.grave)
            record = msgspec.structs.replace(record, grave=0)
        if self._now_ms() >= record.last_ms:
            return job.overdue(record, self._now_ms())
        if record.entry:
            return job.placed(record, record.entry, self._now_ms(), self._pace)
        letter = await self._store.letter(record)
        if letter is None:
            return job.given_up(record, self._now_ms(), LETTER_LOST)
        item = await self._mail.place(letter, record.attempts + 1)
        if item.problem is None:
            return job.placed(record, item.sequence, self._now_ms(), self._pace)
        return job.failed(record, _failure(item), self._now_ms(), random.random())  # noqa: S311 - spreads load

    async def _bury(self, record: JobRecord) -> JobRecord:
        """Take it out of the mailbox, keep it as a dead letter, and tell its sender; in this order, and all of it."""
        if record.entry:
            await self._mail.remove(record.entry)
        dead = job.ended(record, JobState.DEAD, self._now_ms())
        await self._store.bury(dead, await self._remains(record))
        notice = notice_of(record, self._key, self._services)
        if notice is not None:
            item = await self._mail.place(notice, 0)
            if item.problem is not None and item.retryable:
                return job.told_later(record, self._now_ms(), item.retry_after_ms)
        return dead

    async def _remains(self, record: JobRecord) -> bytes:
        """The envelope, also if somebody else has buried it before us and cleared away; empty if it is lost."""
        letter = await self._store.letter(record)
        if letter is not None:
            return letter
        buried = await self._store.buried(record.key)
        return b"" if buried is None else buried.letter

    def _tell(self, before: JobRecord, record: JobRecord, cause: str) -> None:
        if record.attempts > before.attempts:
            ATTEMPTS.inc()
        if record.state is JobState.WAITING and record.retry.failures > before.retry.failures:
            FAILED.labels(cause).inc()
        if not record.is_open:
            ENDED.labels(record.state.value).inc()
            self._log.info(
                "retry.job_ended",
                job=record.job,
                state=record.state.value,
                recipient=record.recipient,
                attempts=record.attempts,
                problem=record.problem,
            )


def _failure(item: PlacedItem) -> Failure:
    return Failure(
        problem=item.problem or "internal",
        message=item.message,
        retryable=item.retryable,
        retry_after_ms=item.retry_after_ms,
    )
