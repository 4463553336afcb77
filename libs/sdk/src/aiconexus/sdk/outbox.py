"""
Send, and do not forget: what an application hands over is written down before the first try.

For each recipient one envelope is on its way at a time, so that order holds; recipients do not wait for each other.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakValueDictionary

from msgspec.structs import replace

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol.bodies import Body, ReceiptItem, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged, RateLimited
from aiconexus.protocol.envelope import check_storable
from aiconexus.protocol.errors import AiconexusError, EnvelopeExpired, RemoteProblem
from aiconexus.protocol.job_bodies import Schedule, Scheduled
from aiconexus.protocol.limits import LIFETIME_MAX_MS
from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.seal import Codec, peek, split, unseal
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.delivery import Notice, Sent
from aiconexus.sdk.discovery import Discovery
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.lanes import Lanes
from aiconexus.sdk.link import Link
from aiconexus.sdk.plans import Plan, check_room, plan_in, retry_service
from aiconexus.sdk.retrying import is_retryable, retrying
from aiconexus.sdk.rows import DEAD, QUEUED, OutRow, OutRows
from aiconexus.sdk.voice import Spoken

QUEUED_MAX = 10_000
BUSY_RETRY_MS = 1_000
IN_FLIGHT_MAX = 64
KEPT_FIELDS = ("expires_ms", "thread", "in_reply_to", "sequence", "traceparent", "content_type")
"""What an envelope that is written anew keeps, as far as the other codec can say it."""


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
        self.is_open = True
        self._link = link
        self._journal = journal
        self._discovery = discovery
        self._crew = crew
        self._on_receipt = on_receipt
        self._on_dead = on_dead
        self._on_error = on_error
        self._sent: WeakValueDictionary[str, Sent] = WeakValueDictionary()
        self._ended: set[str] = set()
        self._ungiven: set[str] = set()
        """What nobody was given since it was put: a receipt is about an earlier envelope under its id."""
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self.lanes = Lanes(self.rows, crew, deliver=self._deliver, fit=self._fit_directly)

    def resume(self) -> None:
        """Take up what an earlier process left behind."""
        for id_, recipient in self.rows.queued():
            self.lanes.add(recipient, id_)

    def put(
        self,
        recipient: str,
        body: Body,
        *,
        lifetime_ms: int | None = None,
        id_: str | None = None,
        plan: Plan | None = None,
        **fields: Any,
    ) -> Sent:
        """
        Write an envelope down and start on its way.

        Args:
            recipient: A DID.
            body: Of a type that mailboxes take.
            lifetime_ms: When it stops to count; the longest by default.
            id_: Its id, if it is not a new one; an envelope of ours that came to its end under it is replaced.
            plan: If the retry service shall see to its delivery.
            fields: ``in_reply_to``, ``thread`` and other fields of the envelope.

        Raises:
            UnsupportedType: If mailboxes do not take it.
            EnvelopeTooLarge: If nobody would accept it.
            MalformedEnvelope: Likewise; one without a proper id could not even be refused, and would be tried for ever.
            RateLimited: If too many wait already.

        """
        check_storable(body.TYPE)
        # Whoever asked waits for an answer, and asked no faster than it is answered.
        if self.lanes.queued >= QUEUED_MAX and "in_reply_to" not in fields:
            raise RateLimited(BUSY_RETRY_MS)
        id_, created_ms = new_id() if id_ is None else id_, now_ms()
        ends_ms = created_ms + min(lifetime_ms or LIFETIME_MAX_MS, LIFETIME_MAX_MS)
        codec = self._discovery.guess_codec(recipient)
        with self._journal.transaction():
            sequence = self.rows.next_sequence(recipient)
            fields |= {"id_": id_, "now_ms": created_ms, "sequence": sequence}
            if lifetime_ms is not None:
                fields["expires_ms"] = ends_ms
            spoken = self._link.services.voice.say(body, recipient, codec, **fields)
            peek(split(spoken.sealed))
            row = OutRow(id_, recipient, body.TYPE, QUEUED, codec, spoken.sealed, ends_ms)
            if plan is not None:
                check_room(plan, spoken.sealed, self._link.services.voice, self._link.road.codec)
                row = replace(row, plan=plan.encoded)
            self.rows.add(row)
        return self._begin(row)

    def again(self, id_: str, recipient: str, sealed: bytes) -> None:
        """Send an answer of ours once more, bit for bit."""
        row = self.rows.find(id_)
        if row is not None and row.state == QUEUED:
            return
        letter = unseal(sealed)
        envelope = letter.envelope
        row = OutRow(id_, recipient, envelope.type, QUEUED, letter.sealed.codec, sealed, envelope.ends_ms)
        self.rows.add(row)
        self._begin(row)

    def find(self, id_: str) -> OutRow | None:
        """What is known of an envelope of ours."""
        return self.rows.find(id_)

    def settle(self, item: ReceiptItem, reporter: str) -> Notice | None:
        """
        Believe a receipt if it comes from somebody who can know.

        Returns:
            What it means; None if it is about nothing of ours, about an envelope of an earlier life under the id of one
            that has yet to go, or from a stranger.

        """
        row = self.rows.find(item.id)
        if row is None or item.id in self._ungiven or not self._may_say(item.status, reporter, row.recipient):
            return None
        # What an operator takes out of the dead letters may still come to a good end.
        is_revived = row.state == DEAD and item.status is ReceiptStatus.PROCESSED
        if item.id in self._ended and not is_revived:
            return None
        notice = _notice(row, reporter, item.status, sequence=item.sequence, problem=item.problem)
        self._close(notice)
        return notice

    def forget(self, ids: Collection[str]) -> None:
        """The relay will not repeat the receipts of these, so nobody needs to remember that they were heard."""
        self.rows.forget(ids)
        self._ended.difference_update(ids)

    def stored_for(self, recipient: str, limit: int, after: str = "") -> tuple[list[str], str | None]:
        """
        Tell what waits at the relay for a recipient, behind the envelope ``after``.

        Returns:
            What can be carried again, in order; and the last envelope that the recipient has to fetch before anything
            may follow on another road, if there is one.

        """
        rows = self.rows.stored_for(recipient, limit + 1, after)
        if len(rows) > limit:
            return [], rows[-1][0]
        lost = [id_ for id_, has_bytes in rows if not has_bytes]
        return [id_ for id_, has_bytes in rows if has_bytes], lost[-1] if lost else None

    def oldest_for(self, recipient: str) -> str | None:
        """Tell what has waited longest at the relay for a recipient."""
        return self.rows.oldest_for(recipient)

    def put_back(self, recipient: str, ids: list[str]) -> None:
        """Send these again, each in its place among what waits for the recipient."""
        if self.is_open:
            self.lanes.put_back(recipient, ids)

    def by_relay(self, recipient: str, ids: list[str]) -> None:
        """Send these through the relay, whatever other road there is."""
        self.lanes.by_relay(recipient, ids)

    def note_taken(self, id_: str, road: str) -> None:
        """The recipient has it and will see to it; we keep it until it says that it is done."""
        sent = self._sent.get(id_)
        if sent is not None:
            recipient = sent.recipient
            sent.note_stored(None, road)
        elif (row := self.rows.find(id_)) is not None:
            recipient = row.recipient
        else:
            return
        reporter = self._link.services.voice.did
        self._on_receipt(Notice(id=id_, recipient=recipient, reporter=reporter, status=ReceiptStatus.STORED, road=road))

    async def flush(self) -> None:
        """Wait until nothing waits to be sent."""
        await self._crew.wait()

    async def close(self) -> None:
        """Stop; what waits stays in the journal."""
        self.is_open = False
        await self._crew.close()
        for sent in tuple(self._sent.values()):
            sent.note_failed(NotAcknowledged(sent.id, 0.0))

    def _may_say(self, status: ReceiptStatus, reporter: str, recipient: str) -> bool:
        """Whether this signer can know; ``stored`` is what a submission is answered with and no news later."""
        services = self._link.services.dids
        match status:
            case ReceiptStatus.STORED:
                return False
            case ReceiptStatus.EXPIRED:
                return reporter in (recipient, services.get("relay"))
            case ReceiptStatus.DEAD_LETTERED:
                return reporter in (recipient, services.get("retry"))
            case _:
                return reporter == recipient

    def _begin(self, row: OutRow) -> Sent:
        self._ended.discard(row.id)
        self._ungiven.add(row.id)
        sent = self._sent[row.id] = Sent(row.id, row.recipient)
        self.lanes.add(row.recipient, row.id)
        return sent

    def _close(self, notice: Notice) -> None:
        sent = self._sent.get(notice.id)
        if notice.status is not ReceiptStatus.DELIVERED:
            self._ended.add(notice.id)
            self.lanes.forget(notice.recipient, notice.id)
            if notice.status is ReceiptStatus.PROCESSED:
                self.rows.mark_processed(notice.id)
            else:
                self.rows.mark_dead(notice.id, notice.problem or notice.status.value)
            if sent is not None:
                sent.note_final(notice)
        self._on_receipt(notice)

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
        keeper = self._link.services.did_of("relay" if row.plan is None else "retry")
        self._on_receipt(_notice(row, keeper, ReceiptStatus.STORED, sequence=item.sequence))
        # The application hears it before we write that it did: a crash in between makes us ask the relay again.
        await asyncio.sleep(0)
        mail = self.lanes.mail
        self.rows.mark_stored(row.id, kept=mail is not None and mail.knows(row.recipient))

    async def _attempt(self, row: OutRow) -> ReceiptItem:
        await self._wait_online(row)
        async with self._room:
            spoken = await self._fit(row)
            self._ungiven.discard(row.id)
            if row.plan is None:
                return await self._link.services.submit(spoken)
            await self._schedule(spoken, plan_in(row.plan))
            return ReceiptItem(id=row.id, status=ReceiptStatus.STORED)

    async def _schedule(self, spoken: Spoken, plan: Plan) -> None:
        """Leave an envelope to the retry service, which owns its delivery from then on."""
        question = Schedule(envelope=spoken.sealed, policy=plan.policy, not_before_ms=plan.not_before_ms)
        await self._link.services.ask(retry_service(self._link), question, Scheduled)

    async def _wait_online(self, row: OutRow) -> None:
        seconds = (row.ends_ms - now_ms()) / 1000
        try:
            async with asyncio.timeout(seconds):
                await self._link.online.wait()
        except TimeoutError as error:
            raise EnvelopeExpired(row.id, row.ends_ms) from error

    async def _fit(self, row: OutRow) -> Spoken:
        """The bytes that the recipient can read: written anew if the guess was wrong."""
        return self._fitted(row, await self._discovery.codec_for(row.recipient))

    def _fit_directly(self, row: OutRow) -> bytes:
        self._ungiven.discard(row.id)
        return self._fitted(row, self._discovery.guess_codec(row.recipient)).sealed

    def _fitted(self, row: OutRow, codec: Codec) -> Spoken:
        sealed = row.sealed or b""
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
            **{name: getattr(envelope, name) for name in KEPT_FIELDS},
        )
        self.rows.reseal(row.id, codec, spoken.sealed)
        return spoken

    def _bury(self, row: OutRow, error: AiconexusError) -> None:
        problem = error.error.problem if isinstance(error, RemoteProblem) else problem_of(error).name
        self.rows.mark_dead(row.id, problem)
        self._ungiven.discard(row.id)
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
