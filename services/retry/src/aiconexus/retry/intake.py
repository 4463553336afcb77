"""Take jobs in: SCHEDULE from senders, RETURN from recipients."""

import random
import time
from collections.abc import Callable
from hashlib import sha256

from prometheus_client import Counter

from aiconexus.protocol.delivery_errors import RateLimited, TooManyJobs
from aiconexus.protocol.did import token_in
from aiconexus.protocol.envelope import check_lifetime, check_storable
from aiconexus.protocol.errors import ConflictingEnvelope, EnvelopeExpired, ForeignSender, Refused, WrongRevision
from aiconexus.protocol.job_bodies import Return, Schedule, Scheduled
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import Letter, unseal
from aiconexus.retry import job
from aiconexus.retry.census import Census
from aiconexus.retry.job import Failure, JobRecord, key_of
from aiconexus.retry.steps import Steps
from aiconexus.retry.store import Found, Store
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.desk import Request

OPENED = Counter("aiconexus_retry_jobs_opened", "Jobs that were taken in.", ["by"])
RETURNED = Counter("aiconexus_retry_envelopes_returned", "Attempts that their recipients reported as failed.")

FULL_RETRY_MS = 5_000
WRITES_MAX = 8
"""How often a change is begun anew because somebody else changed the job."""


class Intake:
    """
    The verbs ``schedule`` and ``return``.

    Args:
        store: Jobs.
        steps: Writes what became of a job, and sets its timer.
        budgets: What each agent may hand over.
        census: How many jobs each sender has.
        now_ms: A clock in milliseconds since the epoch.

    """

    def __init__(
        self, store: Store, steps: Steps, budgets: Budgets, census: Census, *, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._steps = steps
        self._budgets = budgets
        self._census = census
        self._now_ms = now_ms

    async def schedule(self, request: Request[Schedule]) -> Scheduled:
        """Keep an envelope of the asker and see to its delivery."""
        body = request.body
        self._charge(request.token)
        letter = self._read_of(request.token, body.envelope)
        envelope = letter.envelope
        if envelope.sender != request.sender:
            raise ForeignSender(envelope.sender, request.sender)
        if body.not_before_ms >= envelope.ends_ms:
            raise EnvelopeExpired(envelope.id, envelope.ends_ms)
        digest = sha256(body.envelope).digest()
        record = job.opened(envelope, digest, body.policy, self._now_ms(), body.not_before_ms)
        return await self._open(record, body.envelope, "sender")

    async def give_back(self, request: Request[Return]) -> Scheduled:
        """Take an envelope back from its recipient, for a later attempt or as a dead letter."""
        body = request.body
        self._charge(request.token)
        envelope = self._read_of(request.token, body.envelope).envelope
        if envelope.recipient != request.sender:
            reason = "only its recipient gives an envelope back"
            raise Refused(reason)
        RETURNED.inc()
        failure = Failure(problem=body.problem, message=body.message, retryable=body.retryable)
        digest = sha256(body.envelope).digest()
        key = key_of(envelope.sender, envelope.id, envelope.recipient)
        for _ in range(WRITES_MAX):
            found = await self._store.get(key)
            if found is None:
                fresh = job.opened(envelope, digest, body.policy or RetryPolicy(), self._now_ms())
                given_back = job.first_returned(fresh, failure, body.sequence, self._now_ms(), random.random())  # noqa: S311 - spreads load
                return await self._open(given_back, body.envelope, "recipient")
            _check_same(found, digest)
            record = job.returned(found.record, failure, body.sequence, self._now_ms(), random.random())  # noqa: S311 - spreads load
            if not found.record.is_open or record == found.record:
                return await self._known(found.record)
            try:
                await self._steps.save(found, record)
            except WrongRevision:
                continue
            return _answer(record, duplicate=True)
        raise RateLimited(FULL_RETRY_MS)

    async def take_over(self, request: Request[Return]) -> Scheduled:
        """See to an envelope that lies in the mailbox of a connected recipient, which does not acknowledge it."""
        body = request.body
        envelope = self._read(body.envelope).envelope
        failure = Failure(problem=body.problem, message=body.message, retryable=body.retryable)
        fresh = job.opened(envelope, sha256(body.envelope).digest(), body.policy or RetryPolicy(), self._now_ms())
        record = job.taken_over(fresh, failure, body.sequence, self._now_ms(), random.random())  # noqa: S311 - spreads load
        return await self._open(record, body.envelope, "relay")

    async def _open(self, record: JobRecord, letter: bytes, by: str) -> Scheduled:
        found = await self._store.get(record.key)
        if found is None:
            sender = token_in(record.sender)
            limit = await self._census.limit_reached(sender)
            if limit:
                raise TooManyJobs(limit, FULL_RETRY_MS)
            try:
                await self._store.open(record, letter)
            except WrongRevision:
                found = await self._store.get(record.key)
                if found is not None and found.record.digest != record.digest:
                    await self._store.forget_letter(record)
            else:
                OPENED.labels(by).inc()
                self._census.add(sender)
                await self._steps.wake(record)
                return _answer(record)
        if found is None:
            raise RateLimited(FULL_RETRY_MS)
        _check_same(found, record.digest)
        return await self._known(found.record)

    async def _known(self, record: JobRecord) -> Scheduled:
        # Whoever took it in first may have died before it set the timer.
        if record.is_open:
            await self._steps.wake(record)
        return _answer(record, duplicate=True)

    def _charge(self, token: str) -> None:
        wait_ms = self._budgets.take(token, time.monotonic())
        if wait_ms != 0:
            raise RateLimited(wait_ms or FULL_RETRY_MS)

    def _read_of(self, token: str, data: bytes) -> Letter:
        with self._budgets.reading(token, len(data)):
            return self._read(data)

    def _read(self, data: bytes) -> Letter:
        letter = unseal(data)
        check_storable(letter.envelope.type)
        check_lifetime(letter.envelope, self._now_ms())
        token_in(letter.envelope.recipient or "")
        return letter


def _check_same(found: Found, digest: bytes) -> None:
    if found.record.digest != digest:
        raise ConflictingEnvelope(found.record.id)


def _answer(record: JobRecord, *, duplicate: bool = False) -> Scheduled:
    return Scheduled(job=record.job, state=record.state, next_ms=record.due_ms, duplicate=duplicate)
