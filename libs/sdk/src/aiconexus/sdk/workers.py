"""Run the application's handlers: once for each envelope, in order for each sender, calls side by side."""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body, ExecRequest, ExecResponse, Outcome, ReceiptStatus
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import (
    AiconexusError,
    ConflictingEnvelope,
    EnvelopeTooLarge,
    MalformedEnvelope,
    NoHandler,
)
from aiconexus.protocol.problems import report
from aiconexus.protocol.vocabulary import BODIES
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.delivery import Delivery, Post
from aiconexus.sdk.handlers import Handler, Handlers, Interrupted, invoke
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.outbox import Outbox
from aiconexus.sdk.progress import Ticket
from aiconexus.sdk.receipts import Receipts
from aiconexus.sdk.rows import InRow, InRows

CALLS_MAX = 64
ERROR_CHARACTERS = 1024


class Job(msgspec.Struct, frozen=True):
    """An envelope that is to be handled once."""

    delivery: Delivery
    ticket: Ticket
    digest: bytes


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the receipt, and the answer to a call."""

    status: ReceiptStatus = ReceiptStatus.PROCESSED
    problem: str | None = None
    reply: Body | None = None


class Workers:
    """
    The handlers at work.

    Args:
        journal: Knows which envelopes were seen.
        handlers: The application's.
        outbox: Takes the answers.
        receipts: Tells the senders.
        crew: Its background work.
        on_done: Called with the ticket of every envelope that is done.
        on_error: Told what handlers raise.

    """

    def __init__(
        self,
        journal: Journal,
        handlers: Handlers,
        outbox: Outbox,
        receipts: Receipts,
        crew: Crew,
        *,
        post: Post,
        on_done: Callable[[Ticket], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.rows = InRows(journal)
        self._journal = journal
        self._handlers = handlers
        self._outbox = outbox
        self._receipts = receipts
        self._crew = crew
        self._post = post
        self._on_done = on_done
        self._on_error = on_error
        self._running: dict[tuple[str, str], bytes] = {}
        self._lanes: dict[str, deque[Job]] = {}
        self._is_draining = False
        self._calls = asyncio.Semaphore(CALLS_MAX)

    def resume(self) -> tuple[int, int]:
        """Settle what a crash interrupted; returns how many may run again and how many died."""
        return self.rows.interrupt(ReceiptStatus.DEAD_LETTERED, "handler_interrupted")

    def give(self, envelope: Envelope, body: Body, ticket: Ticket) -> None:
        """Handle an envelope, unless it was handled before."""
        job = Job(Delivery(envelope, body, self._post), ticket, digest_of(envelope))
        key = (envelope.sender, envelope.id)
        row = self.rows.find(*key)
        known = row.digest if row is not None else self._running.get(key)
        if known is not None:
            self._repeat(job, row, is_same=known == job.digest)
            return
        self._running[key] = job.digest
        self._receipts.note_arrived(*key)
        if isinstance(body, ExecRequest):
            self._crew.start(self._call(job), f"call-{envelope.id}")
        elif (lane := self._lanes.get(envelope.sender)) is not None:
            lane.append(job)
        else:
            self._lanes[envelope.sender] = deque([job])
            self._crew.start(self._drive(envelope.sender), f"inbox-{envelope.sender}")

    def settle(self, envelope: Envelope, ticket: Ticket) -> None:
        """Note an envelope that needed no handler, such as an answer that somebody waited for."""
        key = (envelope.sender, envelope.id)
        if self.rows.find(*key) is None:
            with self._journal.transaction():
                self.rows.start(*key, digest_of(envelope), envelope.ends_ms)
                self.rows.finish(*key, ReceiptStatus.PROCESSED)
        else:
            self.rows.mark_told(envelope.sender, [envelope.id], told=False)
        self._receipts.note_done(*key)
        self._on_done(ticket)

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
        elif row is not None and row.status is not None:
            self.rows.mark_told(envelope.sender, [envelope.id], told=False)
            self._receipts.note_done(envelope.sender, envelope.id)
            if row.reply is not None and row.reply_type is not None:
                self._answer(envelope, msgspec.msgpack.decode(row.reply, type=BODIES[row.reply_type]))
        self._on_done(job.ticket)

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
        handler = self._find(delivery)
        rerun = handler is not None and handler.interrupted is Interrupted.RERUN
        self.rows.start(envelope.sender, envelope.id, job.digest, envelope.ends_ms, rerun=rerun)
        if envelope.ends_ms <= now_ms():
            ending = Ending(status=ReceiptStatus.EXPIRED, problem="expired")
        elif handler is None:
            problem = report(NoHandler(delivery.type))
            reply = problem if isinstance(delivery.body, ExecRequest) else None
            ending = Ending(status=ReceiptStatus.DEAD_LETTERED, problem=problem.problem, reply=reply)
        elif isinstance(delivery.body, ExecRequest):
            ending = await self._execute(handler, delivery, delivery.body)
        else:
            ending = await self._handle(handler, delivery)
        self._finish(job, ending)

    def _find(self, delivery: Delivery) -> Handler | None:
        capability = self._handlers.find_capability(delivery.body) if isinstance(delivery.body, ExecRequest) else None
        return capability or self._handlers.find(delivery.type)

    async def _handle(self, handler: Handler, delivery: Delivery) -> Ending:
        error = await self._outcome(invoke(handler.function, delivery), None)
        if isinstance(error, BaseException):
            return Ending(status=ReceiptStatus.DEAD_LETTERED, problem="handler_failed")
        return Ending()

    async def _execute(self, handler: Handler, delivery: Delivery, request: ExecRequest) -> Ending:
        is_whole = self._handlers.find_capability(request) is None
        began = time.perf_counter()
        task = invoke(handler.function, delivery if is_whole else request.args)
        seconds = None if request.timeout_ms is None else request.timeout_ms / 1000
        result = await self._outcome(task, seconds)
        took_ms = (time.perf_counter() - began) * 1000
        if isinstance(result, BaseException):
            text = f"{type(result).__name__}: {result}"[:ERROR_CHARACTERS]
            return Ending(reply=ExecResponse(status=Outcome.ERROR, error=text, execution_time_ms=took_ms))
        return Ending(reply=ExecResponse(status=Outcome.SUCCESS, result=result, execution_time_ms=took_ms))

    async def _outcome(self, task: "asyncio.Task[Any]", seconds: float | None) -> Any:
        """What the application returned, or the exception that it raised."""
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            return TimeoutError(f"gave up after {seconds} s")
        if task.cancelled():
            return asyncio.CancelledError("the handler was cancelled")
        error = task.exception()
        if isinstance(error, Exception):
            self._on_error(error)
        return task.result() if error is None else error

    def _finish(self, job: Job, ending: Ending) -> None:
        envelope = job.delivery.envelope
        key = (envelope.sender, envelope.id)
        with self._journal.transaction():
            reply = self._answer(envelope, ending.reply) if ending.reply is not None else None
            self.rows.finish(
                *key,
                ending.status,
                ending.problem,
                reply_type=None if reply is None else reply.TYPE,
                reply=None if reply is None else msgspec.msgpack.encode(reply),
            )
        self._running.pop(key, None)
        self._receipts.note_done(*key)
        self._on_done(job.ticket)

    def _answer(self, envelope: Envelope, reply: Body) -> Body:
        """Put an answer into the outbox; one that cannot be sent is replaced by an error that can."""
        put = partial(self._outbox.put, envelope.sender, in_reply_to=envelope.id, thread=envelope.thread)
        try:
            put(body=reply)
        except (EnvelopeTooLarge, MalformedEnvelope, TypeError, ValueError, OverflowError) as error:
            text = f"the result cannot be sent: {error}"[:ERROR_CHARACTERS]
            reply = ExecResponse(status=Outcome.ERROR, error=text)
            put(body=reply)
        except AiconexusError as error:
            self._on_error(error)
        return reply


def digest_of(envelope: Envelope) -> bytes:
    """What tells two envelopes under one id apart."""
    return hashlib.blake2b(bytes(envelope.body), digest_size=16).digest()
