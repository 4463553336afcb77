"""
Send, and do not forget: what an application hands over is written down before the first try.

For each recipient one envelope is on its way at a time, so that order holds; recipients do not wait for each other.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakValueDictionary

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body, ReceiptItem, ReceiptStatus
from aiconexus.protocol.envelope import check_storable
from aiconexus.protocol.errors import AiconexusError, EnvelopeExpired, NotAcknowledged, RateLimited, RemoteProblem
from aiconexus.protocol.limits import LIFETIME_MAX_MS
from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.seal import unseal
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.delivery import Notice, Sent
from aiconexus.sdk.discovery import Discovery
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.link import Link
from aiconexus.sdk.retrying import is_retryable, retrying
from aiconexus.sdk.rows import QUEUED, OutRow, OutRows
from aiconexus.sdk.voice import Spoken

QUEUED_MAX = 10_000
BUSY_RETRY_MS = 1_000
IN_FLIGHT_MAX = 64


class Outbox:
    """
    What is on its way to others.

    Args:
        link: The way to the relay.
        journal: Where it lies meanwhile.
        discovery: Knows what recipients can read.
        crew: Its background work.
        on_receipt: Told of every step.
        on_dead: Told the id of every envelope that could not be stored, and why.
        on_error: Told the same if nobody holds its ``Sent`` any more.

    """

    def __init__(
        self,
        link: Link,
        journal: Journal,
        discovery: Discovery,
        crew: Crew,
        *,
        on_receipt: Callable[[Notice], None],
        on_dead: Callable[[str, Exception], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.rows = OutRows(journal)
        self._link = link
        self._journal = journal
        self._discovery = discovery
        self._crew = crew
        self._on_receipt = on_receipt
        self._on_dead = on_dead
        self._on_error = on_error
        self._sent: WeakValueDictionary[str, Sent] = WeakValueDictionary()
        self._ended: set[str] = set()
        self._lanes: dict[str, deque[str]] = {}
        self._queued = 0
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)

    def resume(self) -> None:
        """Take up what an earlier process left behind."""
        for id_, recipient in self.rows.queued():
            self._enqueue(id_, recipient)

    def put(self, recipient: str, body: Body, *, lifetime_ms: int | None = None, **fields: Any) -> Sent:
        """
        Write an envelope down and start on its way.

        Args:
            recipient: A DID.
            body: Of a type that mailboxes take.
            lifetime_ms: When it stops to count; the longest by default.
            fields: ``in_reply_to``, ``thread`` and other fields of the envelope.

        Raises:
            UnsupportedType: If mailboxes do not take it.
            EnvelopeTooLarge: If nobody would accept it.
            RateLimited: If too many wait already.

        """
        check_storable(body.TYPE)
        if self._queued >= QUEUED_MAX:
            raise RateLimited(BUSY_RETRY_MS)
        id_, created_ms = new_id(), now_ms()
        ends_ms = created_ms + min(lifetime_ms or LIFETIME_MAX_MS, LIFETIME_MAX_MS)
        codec = self._discovery.guess_codec(recipient)
        with self._journal.transaction():
            sequence = self.rows.next_sequence(recipient)
            fields |= {"id_": id_, "now_ms": created_ms, "sequence": sequence}
            if lifetime_ms is not None:
                fields["expires_ms"] = ends_ms
            spoken = self._link.services.voice.say(body, recipient, codec, **fields)
            self.rows.add(OutRow(id_, recipient, body.TYPE, QUEUED, codec, spoken.sealed, ends_ms))
        sent = self._sent[id_] = Sent(id_, recipient)
        self._enqueue(id_, recipient)
        return sent

    def settle(self, item: ReceiptItem, reporter: str) -> Notice | None:
        """
        Believe a receipt if it comes from somebody who can know.

        Returns:
            What it means; None if it is about nothing of ours, or from a stranger.

        """
        row = self.rows.find(item.id)
        if row is None or reporter not in (row.recipient, self._link.services.dids.get("relay")):
            return None
        if item.status is ReceiptStatus.STORED or item.id in self._ended:
            return None
        if item.status in (ReceiptStatus.PROCESSED, ReceiptStatus.DELIVERED) and reporter != row.recipient:
            return None
        notice = _notice(row, reporter, item.status, sequence=item.sequence, problem=item.problem)
        self._close(notice)
        return notice

    def forget(self, ids: Collection[str]) -> None:
        """The relay will not repeat the receipts of these, so nobody needs to remember that they were heard."""
        self.rows.forget(ids)
        self._ended.difference_update(ids)

    async def flush(self) -> None:
        """Wait until nothing waits to be sent."""
        await self._crew.wait()

    async def close(self) -> None:
        """Stop; what waits stays in the journal."""
        await self._crew.close()
        for sent in tuple(self._sent.values()):
            sent.note_failed(NotAcknowledged(sent.id, 0.0))

    def _close(self, notice: Notice) -> None:
        sent = self._sent.get(notice.id)
        if notice.status is not ReceiptStatus.DELIVERED:
            self._ended.add(notice.id)
            if notice.status is ReceiptStatus.PROCESSED:
                self.rows.mark_processed(notice.id)
            else:
                self.rows.mark_dead(notice.id, notice.problem or notice.status.value)
            if sent is not None:
                sent.note_final(notice)
        self._on_receipt(notice)

    def _enqueue(self, id_: str, recipient: str) -> None:
        lane = self._lanes.get(recipient)
        self._queued += 1
        if lane is not None:
            lane.append(id_)
            return
        self._lanes[recipient] = deque([id_])
        self._crew.start(self._drive(recipient), f"outbox-{recipient}")

    async def _drive(self, recipient: str) -> None:
        """Send what waits for one recipient, one by one, until nothing does."""
        lane = self._lanes[recipient]
        while lane:
            row = self.rows.find(lane[0])
            if row is not None and row.state == QUEUED:
                await self._deliver(row)
            lane.popleft()
            self._queued -= 1
        del self._lanes[recipient]

    async def _deliver(self, row: OutRow) -> None:
        def is_over() -> bool:
            return now_ms() >= row.ends_ms

        try:
            async for attempt in retrying(is_retryable, stop=is_over):
                with attempt:
                    item = await self._attempt(row)
        except AiconexusError as error:
            self._bury(row, EnvelopeExpired(row.id, row.ends_ms) if is_over() else error)
            return
        sent = self._sent.get(row.id)
        if sent is not None:
            sent.note_stored(item.sequence)
        relay = self._link.services.did_of("relay")
        self._on_receipt(_notice(row, relay, ReceiptStatus.STORED, sequence=item.sequence))
        # The application hears it before we write that it did: a crash in between makes us ask the relay again.
        await asyncio.sleep(0)
        self.rows.mark_stored(row.id)

    async def _attempt(self, row: OutRow) -> ReceiptItem:
        await self._wait_online(row)
        async with self._room:
            spoken = await self._fit(row)
            return await self._link.services.submit(spoken)

    async def _wait_online(self, row: OutRow) -> None:
        seconds = (row.ends_ms - now_ms()) / 1000
        try:
            async with asyncio.timeout(seconds):
                await self._link.online.wait()
        except TimeoutError as error:
            raise EnvelopeExpired(row.id, row.ends_ms) from error

    async def _fit(self, row: OutRow) -> Spoken:
        """The bytes that the recipient can read: written anew if the guess was wrong."""
        sealed = row.sealed or b""
        codec = await self._discovery.codec_for(row.recipient)
        if codec == row.codec:
            return Spoken(row.id, sealed)
        letter = unseal(sealed)
        envelope = letter.envelope
        spoken = self._link.services.voice.say(
            letter.body,
            row.recipient,
            codec,
            id_=row.id,
            now_ms=envelope.created_ms,
            in_reply_to=envelope.in_reply_to,
        )
        self.rows.reseal(row.id, codec, spoken.sealed)
        return spoken

    def _bury(self, row: OutRow, error: AiconexusError) -> None:
        problem = error.error.problem if isinstance(error, RemoteProblem) else problem_of(error).name
        self.rows.mark_dead(row.id, problem)
        is_late = isinstance(error, EnvelopeExpired)
        status = ReceiptStatus.EXPIRED if is_late else ReceiptStatus.DEAD_LETTERED
        self._on_receipt(_notice(row, self._link.services.voice.did, status, problem=problem))
        self._on_dead(row.id, error)
        sent = self._sent.get(row.id)
        if sent is None:
            self._on_error(error)
        else:
            sent.note_failed(error)


def _notice(row: OutRow, reporter: str, status: ReceiptStatus, **facts: Any) -> Notice:
    return Notice(id=row.id, recipient=row.recipient, reporter=reporter, status=status, **facts)
