"""Run the application's handlers: once for each envelope, in order for each sender, calls side by side."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body, ExecRequest, ExecResponse, Intent, Outcome, ReceiptStatus
from aiconexus.protocol.digests import digest_of
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import AiconexusError, ConflictingEnvelope, EnvelopeTooLarge, MalformedEnvelope
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.problems import report
from aiconexus.sdk.callees import KEPT_MS, Callees
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.delivery import Delivery
from aiconexus.sdk.executions import Result
from aiconexus.sdk.handlers import Interrupted
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.outbox import Outbox
from aiconexus.sdk.progress import Ticket
from aiconexus.sdk.receipts import Receipts
from aiconexus.sdk.returns import Returns
from aiconexus.sdk.rows import InRow, InRows
from aiconexus.sdk.runs import ERROR_CHARACTERS, Ending, Runner, ending_of, ending_of_nobody

CALLS_MAX = 64


class Job:
    """
    An envelope that is to be handled once, whatever entries of the mailbox bring it until that is done.

    Args:
        delivery: The first of them.
        ticket: Likewise.

    """

    def __init__(self, delivery: Delivery, ticket: Ticket) -> None:
        self.delivery = delivery
        self.digest = digest_of(delivery.envelope, delivery.body)
        self.latest = delivery
        """What the last entry brought: the attempt that the retry service knows of."""
        self.sequence = ticket.sequence
        """Its place."""
        self.tickets = [ticket]

    def join(self, other: "Job") -> None:
        """One run is for all: if it fails, so has the attempt that came last."""
        self.tickets += other.tickets
        if other.sequence > self.sequence:
            self.latest, self.sequence = other.latest, other.sequence


class Workers:
    """
    The handlers at work.

    Args:
        journal: Knows which envelopes were seen.
        outbox: Takes the answers.
        receipts: Tells the senders.
        runner: Runs the application's handlers.
        callees: The calls among them.
        returns: Takes what is to be tried again.
        crew: Its background work.
        on_done: Called with the ticket of every envelope that is done.
        on_error: Told what handlers raise.

    """

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        receipts: Receipts,
        *,
        runner: Runner,
        callees: Callees,
        returns: Returns,
        crew: Crew,
        on_done: Callable[[Ticket], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.rows = InRows(journal)
        self._journal = journal
        self._runner = runner
        self._outbox = outbox
        self._receipts = receipts
        self._callees = callees
        self._returns = returns
        self._crew = crew
        self._on_done = on_done
        self._on_error = on_error
        self._running: dict[tuple[str, str], Job] = {}
        self._lanes: dict[str, deque[Job]] = {}
        self._is_draining = False
        self._calls = asyncio.Semaphore(CALLS_MAX)

    def resume(self) -> tuple[int, int]:
        """Settle what a crash interrupted; returns how many may run again and how many died."""
        return self.rows.interrupt(ReceiptStatus.DEAD_LETTERED, "handler_interrupted")

    def give(self, delivery: Delivery, ticket: Ticket) -> None:
        """Handle an envelope, unless it was handled before."""
        envelope, body = delivery.envelope, delivery.body
        job = Job(delivery, ticket)
        key = (envelope.sender, envelope.id)
        running = self._running.get(key)
        if running is not None and running.digest == job.digest:
            running.join(job)
            return
        row = self.rows.find(*key)
        known = running or row
        if known is not None and (known.digest != job.digest or not may_run(row, delivery, ticket)):
            self._repeat(job, row, is_same=known.digest == job.digest)
            return
        self._running[key] = job
        self._receipts.note_arrived(*key)
        if isinstance(body, ExecRequest | Intent):
            self._callees.open(delivery)
        if isinstance(body, ExecRequest):
            self._crew.start(self._call(job), f"call-{envelope.id}")
        elif (lane := self._lanes.get(envelope.sender)) is not None:
            lane.append(job)
        else:
            self._lanes[envelope.sender] = deque([job])
            self._crew.start(self._drive(envelope.sender), f"inbox-{envelope.sender}")

    def settle(self, envelope: Envelope, body: Body, ticket: Ticket) -> None:
        """Note an envelope that needed no handler, such as an answer that somebody waited for."""
        key = (envelope.sender, envelope.id)
        if self.rows.find(*key) is None:
            with self._journal.transaction():
                self.rows.start(*key, digest_of(envelope, body), envelope.ends_ms)
                self.rows.finish(*key, ReceiptStatus.PROCESSED)
        else:
            self.rows.mark_told(envelope.sender, [envelope.id], told=False)
        self._receipts.note_done(*key)
        self._on_done(ticket)

    def wants_retry(self, delivery: Delivery) -> bool:
        """Whether the handler of an envelope leaves what it fails at to the retry service."""
        handler = self._runner.find(delivery)
        return handler is not None and handler.retry is not None

    def is_known(self, sender: str, id_: str) -> bool:
        """Whether an envelope has come."""
        return (sender, id_) in self._running or self.rows.find(sender, id_) is not None

    async def drain(self) -> None:
        """Begin nothing more, and wait until no handler runs; what waits stays in the mailbox."""
        self._is_draining = True
        await self._crew.wait()

    async def close(self) -> None:
        """Cut off what still runs."""
        await self._crew.close()

    def _repeat(self, job: Job, row: InRow | None, *, is_same: bool) -> None:
        """An id that was seen before: say again what became of it, or that it is another envelope."""
        envelope = job.delivery.envelope
        if not is_same:
            self._answer(envelope, report(ConflictingEnvelope(envelope.id)))
        elif row is not None and row.returned == job.sequence:
            # We died between its failure and the acknowledgement.
            handler = self._runner.find(job.delivery)
            self._give_back(job, None if handler is None else handler.retry, None)
            return
        elif row is not None and row.status is not None:
            self.rows.mark_told(envelope.sender, [envelope.id], told=False)
            self._receipts.note_done(envelope.sender, envelope.id)
            if row.reply is not None and row.reply_id is not None:
                self._outbox.again(row.reply_id, envelope.sender, row.reply)
        self._end(job)

    async def _drive(self, sender: str) -> None:
        lane = self._lanes[sender]
        while lane and not self._is_draining:
            await self._run(lane[0])
            lane.popleft()
        del self._lanes[sender]

    async def _call(self, job: Job) -> None:
        async with self._calls:
            if not self._is_draining:
                await self._run(job)

    async def _run(self, job: Job) -> None:
        delivery, envelope = job.delivery, job.delivery.envelope
        handler = self._runner.find(delivery)
        rerun = handler is not None and handler.interrupted is Interrupted.RERUN
        ends_ms = max(envelope.ends_ms, now_ms() + KEPT_MS) if _is_call(delivery) else envelope.ends_ms
        self.rows.start(envelope.sender, envelope.id, job.digest, ends_ms, rerun=rerun)
        if is_over(delivery, now_ms()):
            ending = Ending(status=ReceiptStatus.EXPIRED, problem="expired")
        elif handler is None:
            ending = ending_of_nobody(delivery)
        else:
            result = await self._runner.run(handler, delivery)
            if handler.retry is not None and result.failure is not None:
                self._give_back(job, handler.retry, result.failure)
                return
            ending = ending_of(delivery, result)
        self._finish(job, ending)

    def _give_back(self, job: Job, policy: RetryPolicy | None, failure: Exception | None) -> None:
        """Leave an attempt that failed to the retry service; the next envelope need not wait for that."""
        envelope = job.delivery.envelope
        self._running.pop((envelope.sender, envelope.id), None)
        self.rows.give_back(envelope.sender, envelope.id, job.sequence)
        self._crew.start(self._return(job, policy, failure), f"return-{envelope.id}")

    async def _return(self, job: Job, policy: RetryPolicy | None, failure: Exception | None) -> None:
        delivery, envelope = job.latest, job.latest.envelope
        try:
            await self._returns.give_back(delivery, job.sequence, failure, policy)
        except AiconexusError as error:
            self._on_error(error)
            row = self.rows.find(envelope.sender, envelope.id)
            if row is not None and row.returned == job.sequence:
                self._finish(job, ending_of(delivery, Result(error=failure or error)))
                return
        # The next attempt may have come before the answer did.
        self._receipts.note_done(envelope.sender, envelope.id)
        self._end(job)

    def _finish(self, job: Job, ending: Ending) -> None:
        envelope = job.delivery.envelope
        key = (envelope.sender, envelope.id)
        with self._journal.transaction():
            reply_id, reply = (None, None) if ending.reply is None else self._answer(envelope, ending.reply)
            self.rows.finish(*key, ending.status, ending.problem, reply_id=reply_id, reply=reply)
        self._running.pop(key, None)
        self._callees.close(job.delivery)
        self._receipts.note_done(*key)
        self._end(job)

    def _end(self, job: Job) -> None:
        for ticket in job.tickets:
            self._on_done(ticket)

    def _answer(self, envelope: Envelope, reply: Body) -> tuple[str | None, bytes | None]:
        """Put an answer into the outbox; one that cannot be sent is replaced by an error that can."""
        fields: dict[str, Any] = {"in_reply_to": envelope.id, "thread": envelope.thread}
        try:
            sent = self._outbox.put(envelope.sender, reply, **fields)
        except (EnvelopeTooLarge, MalformedEnvelope, TypeError, ValueError, OverflowError) as error:
            text = f"the result cannot be sent: {error}"[:ERROR_CHARACTERS]
            sent = self._outbox.put(envelope.sender, ExecResponse(status=Outcome.ERROR, error=text), **fields)
        row = self._outbox.find(sent.id)
        return (None, None) if row is None else (row.id, row.sealed)


def may_run(row: InRow | None, delivery: Delivery, ticket: Ticket) -> bool:
    """Whether an envelope that was seen before may be handled: a new attempt, or one that came too late before."""
    if row is None:
        return True
    if row.returned:
        return ticket.sequence > row.returned
    return row.status is ReceiptStatus.EXPIRED and not is_over(delivery, now_ms())


def is_over(delivery: Delivery, now: int) -> bool:
    """Whether nobody wants it to be handled any more."""
    envelope, body = delivery.envelope, delivery.body
    begin_ms = body.begin_ms if isinstance(body, ExecRequest) else None
    return envelope.ends_ms <= now or (begin_ms is not None and envelope.created_ms + begin_ms <= now)


def _is_call(delivery: Delivery) -> bool:
    return isinstance(delivery.body, ExecRequest | Intent)
