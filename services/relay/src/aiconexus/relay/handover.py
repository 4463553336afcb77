"""
Leave to the retry service what connected recipients do not acknowledge, where the operator wants that.

From outside a handler that hangs looks like one that takes long, and both like mail that waits for its turn. Only the
operator knows how long is too long. What is handed over stays where it lies, so that no order is lost and nothing runs
twice; from then on the retry service counts its attempts and gives it up, unless it is acknowledged before.
"""

import heapq
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from aiconexus.bus.streams import Page, Stored, Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Receipt
from aiconexus.protocol.errors import BusError, EnvelopeError, RemoteProblem
from aiconexus.protocol.job_bodies import Return
from aiconexus.protocol.policy import RetryPolicy, Strategy
from aiconexus.protocol.records import MAILBOX, PresenceRecord
from aiconexus.protocol.seal import peek, split
from aiconexus.relay.mailbox import is_of_retry, stored_ms_of
from aiconexus.runtime.roster import Roster

HANDED_OVER = Counter(
    "aiconexus_relay_envelopes_handed_over", "Envelopes that a connected recipient left lying, now left to retry."
)
NOT_HANDED_OVER = Counter("aiconexus_relay_handovers_refused", "Such envelopes that the retry service did not take.")

NOT_ACKNOWLEDGED = "timeout"
RETRIES = 3
END_MS = 60_000
"""This long before its end an envelope is the sweeper's alone: its sender shall hear of one end."""
VISITS_PER_SWEEP = 100
PAGE_LIMIT = 100
PAGE_BYTES = 512 * 1024

Give = Callable[[Return], Awaitable[object]]


class Handover:
    """
    The mailboxes in which something lies.

    Args:
        streams: To the mailboxes.
        presence: Who is connected, and since when.
        give: Has the retry service take an envelope over.
        wait_seconds: How long a recipient that is connected may leave an envelope lying.
        mailboxes_max: How many are looked after; others are found by a later walk.
        now_ms: A clock in milliseconds since the epoch.

    """

    def __init__(
        self,
        streams: Streams,
        presence: Roster[PresenceRecord],
        give: Give,
        *,
        wait_seconds: float,
        mailboxes_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._streams = streams
        self._presence = presence
        self._give = give
        self._wait_ms = int(wait_seconds * 1000)
        self._mailboxes_max = mailboxes_max
        self._now_ms = now_ms
        self._due: list[tuple[int, str]] = []
        self._handed: dict[str, set[int]] = {}

    def note(self, stored: Stored) -> None:
        """Something lies in a mailbox."""
        token = subjects.token_of_stored(stored.subject)
        if token not in self._handed and len(self._handed) < self._mailboxes_max:
            self._handed[token] = set()
            heapq.heappush(self._due, (stored_ms_of(stored) + self._wait_ms, token))

    async def visit(self) -> None:
        """
        Look into the mailboxes whose time has come.

        Raises:
            BusError: If the bus is away.

        """
        for _ in range(VISITS_PER_SWEEP):
            if not self._due or self._due[0][0] > self._now_ms():
                return
            _, token = self._due[0]
            again_ms = await self._look(token)
            if again_ms is None:
                heapq.heappop(self._due)
                del self._handed[token]
            else:
                heapq.heapreplace(self._due, (again_ms, token))

    async def _look(self, token: str) -> int | None:
        """See to one mailbox; returns when to come again, None if it is empty."""
        presence = await self._presence.look_up(token)
        if presence is None:
            is_empty = not (await self._page(token, 0)).items
            return None if is_empty else self._now_ms() + self._wait_ms
        seen = set[int]()
        try:
            return await self._go_through(token, presence.since_ms, seen)
        finally:
            # Oldest first, so that what was handed over and is not among these is gone.
            self._handed[token] &= seen

    async def _go_through(self, token: str, since_ms: int, seen: set[int]) -> int | None:
        later_ms = self._now_ms() + self._wait_ms
        after, handed = 0, self._handed[token]
        while (page := await self._page(token, after)).items:
            for stored in page.items:
                due_ms = max(stored_ms_of(stored), since_ms) + self._wait_ms
                if due_ms > self._now_ms():
                    return min(due_ms, later_ms)
                if stored.sequence not in handed and not await self._hand_over(stored):
                    return later_ms
                handed.add(stored.sequence)
                seen.add(stored.sequence)
            after = page.items[-1].sequence
        return later_ms if after else None

    async def _page(self, token: str, after: int) -> Page:
        subject = subjects.stored(token)
        return await self._streams.batch(MAILBOX, subject, after, limit=PAGE_LIMIT, max_bytes=PAGE_BYTES)

    async def _hand_over(self, stored: Stored) -> bool:
        """Whether this one need not be looked at again."""
        question = self._question(stored)
        if question is None:
            return True
        try:
            await self._give(question)
        except RemoteProblem as error:
            NOT_HANDED_OVER.inc()
            return not error.retryable
        except BusError:
            # The retry service is away; the mailbox keeps what it has.
            NOT_HANDED_OVER.inc()
            return False
        HANDED_OVER.inc()
        return True

    def _question(self, stored: Stored) -> Return | None:
        try:
            envelope = peek(split(stored.data), is_canonical=True)
        except EnvelopeError:
            return None
        left_ms = envelope.ends_ms - END_MS - self._now_ms()
        if is_of_retry(stored) or envelope.type == Receipt.TYPE or left_ms < self._wait_ms:
            return None
        return Return(
            envelope=stored.data,
            sequence=stored.sequence,
            problem=NOT_ACKNOWLEDGED,
            message=f"not acknowledged for {self._wait_ms / 1000:g} s by a recipient that was connected",
            policy=_policy(self._wait_ms / 1000, left_ms / 1000),
        )


def _policy(wait_seconds: float, left_seconds: float) -> RetryPolicy:
    return RetryPolicy(
        strategy=Strategy.FIXED,
        max_retries=RETRIES,
        initial_delay_seconds=1.0,
        attempt_timeout_seconds=wait_seconds,
        deadline_seconds=left_seconds,
    )
