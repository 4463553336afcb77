"""
Answer about jobs and dead letters, and change their fate.

An agent sees and changes what it sent or is to receive, an operator everything.
"""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from aiconexus.protocol.delivery_errors import JobEnded, RateLimited, UnknownJob
from aiconexus.protocol.did import public_key_of
from aiconexus.protocol.errors import EnvelopeExpired, MalformedEnvelope, WrongRevision
from aiconexus.protocol.job_bodies import (
    DeadLetters,
    Drop,
    Dropped,
    JobList,
    Jobs,
    JobShown,
    JobState,
    Requeue,
    Scheduled,
    ShowJob,
    Withdraw,
    Withdrawn,
)
from aiconexus.retry import job
from aiconexus.retry.job import JobRecord, card_of
from aiconexus.retry.mail import Mail
from aiconexus.retry.steps import Steps
from aiconexus.retry.store import Buried, Found, Listing, Store
from aiconexus.retry.timers import Timers
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.desk import Request
from aiconexus.runtime.directory import Directory

REQUEUED = Counter("aiconexus_retry_dead_letters_requeued", "Dead letters that were sent again.")
DROPPED = Counter("aiconexus_retry_dead_letters_dropped", "Dead letters that were dropped.")

WRITES_MAX = 8
CROWDED_RETRY_MS = 1_000
POSITION_MAX = 2**53
"""Of a stream; the server counts further, but nobody lives to see it."""
SAFETY_MS = 10_000
"""Whoever sends a dead letter again and dies before it has set the timer leaves one that goes off so much later."""


class Office:
    """
    The verbs about jobs that are there.

    Args:
        store: Jobs and dead letters.
        steps: Writes what becomes of a job.
        timers: To be cancelled.
        mail: Where a withdrawn envelope may still lie.
        directory: Who the operators are.
        budgets: What each of the others may ask.
        now_ms: A clock in milliseconds since the epoch.
        safety_ms: After how long a dead letter is tried again whose requeue was not brought to its end.

    """

    def __init__(
        self,
        store: Store,
        steps: Steps,
        timers: Timers,
        mail: Mail,
        *,
        directory: Directory,
        budgets: Budgets,
        now_ms: Callable[[], int],
        safety_ms: int = SAFETY_MS,
    ) -> None:
        self._store = store
        self._steps = steps
        self._timers = timers
        self._mail = mail
        self._directory = directory
        self._budgets = budgets
        self._now_ms = now_ms
        self._safety_ms = safety_ms

    async def jobs(self, request: Request[Jobs]) -> JobList:
        """List jobs."""
        self._charge(request)
        body = request.body
        sender, recipient = self._scope(request.sender, body.sender, body.recipient)
        return _listed(
            await self._store.jobs(sender, recipient, body.state, after=_position(body.cursor), limit=body.limit)
        )

    async def dead_letters(self, request: Request[DeadLetters]) -> JobList:
        """List dead letters."""
        self._charge(request)
        body = request.body
        sender, recipient = self._scope(request.sender, body.sender, body.recipient)
        return _listed(
            await self._store.dead_letters(sender, recipient, after=_position(body.cursor), limit=body.limit)
        )

    async def show(self, request: Request[ShowJob]) -> JobShown:
        """Tell all about one job."""
        self._charge(request)
        record = (await self._found(request.body.job, request.sender)).record
        if record.state is JobState.DEAD:
            buried = await self._store.buried(record.key)
            letter = buried.letter if buried is not None else None
        else:
            letter = await self._store.letter(record)
        return JobShown(card=card_of(record), policy=record.policy, history=record.history, envelope=letter)

    async def withdraw(self, request: Request[Withdraw]) -> Withdrawn:
        """Forget a job, unless it has come to its end before."""
        self._charge(request)
        for _ in range(WRITES_MAX):
            found = await self._found(request.body.job, request.sender)
            record = found.record
            if record.is_open and record.state is not JobState.DYING:
                record = job.ended(record, JobState.WITHDRAWN, self._now_ms())
                try:
                    await self._steps.save(found, record)
                except WrongRevision:
                    continue
            if record.state is JobState.WITHDRAWN:
                # Also if it was so before: whoever withdrew it may have died here.
                await self._timers.cancel(record.key)
                if record.entry:
                    await self._mail.remove(record.entry)
                if record.grave:
                    await self._store.unbury(record.key, record.grave)
            return Withdrawn(job=record.job, state=record.state)
        raise RateLimited(CROWDED_RETRY_MS)

    async def requeue(self, request: Request[Requeue]) -> Scheduled:
        """Send a dead letter again; its next attempt forgets the dead letter."""
        self._charge(request)
        for _ in range(WRITES_MAX):
            found, buried = await self._dead(request.body.job, request.sender)
            record = found.record
            if record.ends_ms <= self._now_ms():
                raise EnvelopeExpired(record.id, record.ends_ms)
            if buried is None:
                raise UnknownJob(record.job)
            again = job.requeued(record, buried.grave, request.body.policy, self._now_ms())
            await self._timers.set(record.key, self._now_ms() + self._safety_ms)
            await self._store.keep_letter(again, buried.letter)
            try:
                await self._steps.save(found, again)
            except WrongRevision:
                continue
            REQUEUED.inc()
            return Scheduled(job=again.job, state=again.state, next_ms=again.next_ms)
        raise RateLimited(CROWDED_RETRY_MS)

    async def drop(self, request: Request[Drop]) -> Dropped:
        """Forget a dead letter; the record goes last, so that whoever died in the middle can be asked again."""
        self._charge(request)
        for _ in range(WRITES_MAX):
            found, buried = await self._dead(request.body.job, request.sender)
            record = found.record
            if buried is not None:
                await self._store.unbury(record.key, buried.grave)
            try:
                await self._steps.save(found, job.ended(record, JobState.WITHDRAWN, self._now_ms()))
            except WrongRevision:
                continue
            DROPPED.inc()
            return Dropped(job=record.job)
        raise RateLimited(CROWDED_RETRY_MS)

    def _charge(self, request: Request[Any]) -> None:
        if request.sender in self._directory.operators:
            return
        wait_ms = self._budgets.take(request.token, time.monotonic())
        if wait_ms != 0:
            raise RateLimited(wait_ms or CROWDED_RETRY_MS)

    async def _dead(self, name: str, asker: str) -> tuple[Found, Buried | None]:
        found = await self._found(name, asker, JobState.DEAD)
        if found.record.state is not JobState.DEAD:
            raise JobEnded(found.record.job, found.record.state.value)
        return found, await self._store.buried(found.record.key)

    async def _found(self, name: str, asker: str, wanted: JobState | None = None) -> Found:
        found = [one for one in await self._store.find(name) if self._may_see(one.record, asker)]
        if not found:
            raise UnknownJob(name)
        return next((one for one in found if one.record.state is wanted), found[0])

    def _may_see(self, record: JobRecord, asker: str) -> bool:
        return asker in (record.sender, record.recipient) or asker in self._directory.operators

    def _scope(self, asker: str, sender: str | None, recipient: str | None) -> tuple[str | None, str | None]:
        for did in (sender, recipient):
            if did is not None:
                public_key_of(did)
        if asker in self._directory.operators:
            return sender, recipient
        if asker in (sender, recipient):
            return sender, recipient
        if sender is not None:
            raise UnknownJob(sender)
        return asker, recipient


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or int(cursor) > POSITION_MAX:
        reason = "the cursor is none of ours"
        raise MalformedEnvelope(reason)
    return int(cursor)


def _listed(listing: Listing) -> JobList:
    cursor = None if listing.cursor is None else str(listing.cursor)
    return JobList(jobs=tuple(map(card_of, listing.records)), cursor=cursor)
