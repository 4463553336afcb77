"""The callee's side of calls: which ones run, what their callers say of them meanwhile, and what is sent again."""

import asyncio
from collections import OrderedDict

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body, Error, ExecRequest, ExecResponse
from aiconexus.protocol.call_bodies import Cancel, Chunk, Resume
from aiconexus.protocol.delivery_errors import HandlerInterrupted, StreamGap
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.problems import report
from aiconexus.protocol.seal import unseal
from aiconexus.sdk.callrows import ChunkRows
from aiconexus.sdk.delivery import Delivery, Sent
from aiconexus.sdk.executions import Execution
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.outbox import Outbox
from aiconexus.sdk.rows import InRow, InRows

KEPT_MS = 24 * 3600 * 1000
"""How long an answer is kept for a caller that asks again."""
CHUNKS_KEPT_MS = 3600 * 1000
REPEAT_SECONDS = 0.5
REPEATED_MAX = 1024

Key = tuple[str, str]
"""Whose call, and its id."""


class Callees:
    """
    The calls that others asked of us.

    Args:
        journal: Keeps chunks and answers.
        outbox: Takes what callers are told.

    """

    def __init__(self, journal: Journal, outbox: Outbox) -> None:
        self._journal = journal
        self._rows = InRows(journal)
        self._chunks = ChunkRows(journal)
        self._outbox = outbox
        self._running: dict[Key, Execution] = {}
        self._repeated: OrderedDict[Key, float] = OrderedDict()

    def open(self, delivery: Delivery) -> Execution:
        """A call came; from now on its caller may cancel it."""
        known = self._sent_before(delivery)

        def put(chunk: Chunk) -> int:
            if chunk.index in known:
                return len(msgspec.msgpack.encode(chunk))
            with self._journal.transaction():
                size = self._chunks.add(delivery.sender, delivery.id, chunk, now_ms() + CHUNKS_KEPT_MS)
                self._say(delivery.sender, delivery.id, chunk)
            return size

        execution = Execution(delivery, lambda body: self._say(delivery.sender, delivery.id, body), put)
        self._running[delivery.sender, delivery.id] = execution
        return execution

    def _sent_before(self, delivery: Delivery) -> set[int]:
        """The chunks that a handler has sent already which runs again after a crash."""
        if not isinstance(delivery.body, ExecRequest):
            return set()
        return {chunk.index for chunk in self._chunks.since(delivery.sender, delivery.id)}

    def find(self, delivery: Delivery) -> Execution:
        """The call that was opened with a delivery."""
        return self._running.get((delivery.sender, delivery.id)) or self.open(delivery)

    def close(self, delivery: Delivery) -> None:
        """A call has ended."""
        self._running.pop((delivery.sender, delivery.id), None)

    def forget(self, delivery: Delivery) -> None:
        """Its caller wants no chunk of it any more."""
        self._chunks.drop(delivery.sender, delivery.id, 2**53)

    def heed(self, envelope: Envelope, body: Cancel | Resume) -> None:
        """Do what the caller of a call says of it."""
        key = (envelope.sender, envelope.in_reply_to or "")
        running = self._running.get(key)
        if isinstance(body, Cancel):
            if running is not None:
                running.cancel()
            return
        if running is not None:
            running.take(body.next)
        self._chunks.drop(*key, body.next)
        if body.again and self._may_repeat(key):
            self._repeat(key, body.next, running)

    def _may_repeat(self, key: Key) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._repeated.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._repeated[key] = now
        self._repeated.move_to_end(key)
        if len(self._repeated) > REPEATED_MAX:
            self._repeated.popitem(last=False)
        return True

    def _repeat(self, key: Key, next_: int, running: Execution | None) -> None:
        """Send what a caller has lost, or say that it is lost."""
        kept = self._chunks.since(*key, next_)
        row = self._rows.find(*key)
        end = running.window.sent if running is not None else _chunks_in(row)
        if end is None:
            lost = row is not None and row.status is not None and row.reply is None
            self._refuse(key, HandlerInterrupted(key[1]) if lost else StreamGap(key[1], next_, None))
        elif next_ < end and (not kept or kept[0].index != next_):
            self._refuse(key, StreamGap(key[1], next_, kept[0].index if kept else end))
        else:
            for chunk in kept:
                self._say(*key, chunk)
            if row is not None and row.reply is not None and row.reply_id is not None:
                self._outbox.again(row.reply_id, key[0], row.reply)

    def _refuse(self, key: Key, error: AiconexusError) -> None:
        answer = report(error)
        if isinstance(error, StreamGap):
            answer = msgspec.structs.replace(answer, details={"first": error.first, "end": error.end})
        self._say(*key, answer)

    def _say(self, caller: str, id_: str, body: Body) -> Sent:
        return self._outbox.put(caller, body, in_reply_to=id_, lifetime_ms=CHUNKS_KEPT_MS)


def _chunks_in(row: InRow | None) -> int | None:
    """How many chunks an answer had; None if there is no answer."""
    if row is None or row.reply is None:
        return None
    answer = unseal(row.reply).body
    if isinstance(answer, ExecResponse):
        return answer.chunks or 0
    return None if isinstance(answer, Error) else 0
