"""
Offer accepted envelopes to the mailbox stream until it has taken them.

Publishing and waiting are apart: one subscription hears all acknowledgements, and no envelope has a task of its own.
When the stream falls silent (a leader is being elected, the server restarts) nothing more is published; the oldest
envelope knocks with growing intervals, and once it is through, the others follow in their order.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
from prometheus_client import Counter, Gauge, Histogram

from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.streams import Placed, placed
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import ReceiptItem, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.errors import BusUnavailable, StreamRefused
from aiconexus.protocol.records import MAILBOX
from aiconexus.relay.mailbox import TRANSIENT, refusal_of, stored_headers
from aiconexus.runtime.answers import Answers, Ask

STORED = Counter("aiconexus_relay_envelopes_stored", "Envelopes that the stream took.")
STORED_BYTES = Counter("aiconexus_relay_stored_bytes", "Sealed bytes that the stream took.")
OFFERED_AGAIN = Counter("aiconexus_relay_offers_repeated", "Envelopes offered again because the stream was silent.")
PENDING = Gauge("aiconexus_relay_offers_pending", "Envelopes that wait for the stream's word.")
SECONDS = Histogram(
    "aiconexus_relay_store_seconds",
    "From the arrival of an envelope to the stream's word.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)

SILENCE_SECONDS = 3.0
"""Without a word for this long, the stream is silent."""
TICK_SECONDS = 0.1
KNOCK_SECONDS = 0.2
KNOCK_MAX_SECONDS = 2.0


class Offer(msgspec.Struct, gc=False):
    """An accepted envelope; ``arrived`` and ``sent`` are seconds of the monotonic clock, ``sent`` 0 means never."""

    ask: Ask
    token: str
    id: str
    recipient: str
    recipient_token: str
    expires_ms: int
    data: bytes
    arrived: float
    sent: float = 0.0
    tries: int = 0


class Placer:
    """
    The offers that wait for the stream's word.

    Args:
        session: To the bus.
        answers: Where the stream's word goes.
        on_double: Takes what the stream has taken under the same id before, and where that was put.
        budget_seconds: How long an envelope is offered before its sender is told to come again.
        pending_max: Envelopes that may wait.
        pending_max_bytes: Likewise in bytes.
        mailbox_max: Envelopes that a mailbox holds, for the message of a refusal.
        monotonic: A clock in seconds.

    """

    def __init__(
        self,
        session: Session,
        answers: Answers,
        *,
        on_double: Callable[[Offer, int], None],
        budget_seconds: float,
        pending_max: int,
        pending_max_bytes: int,
        mailbox_max: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._session = session
        self._answers = answers
        self._on_double = on_double
        self._budget_seconds = budget_seconds
        self._pending_max = pending_max
        self._pending_max_bytes = pending_max_bytes
        self._mailbox_max = mailbox_max
        self._monotonic = monotonic
        self._inbox = session.new_inbox()
        self._key_at = len(self._inbox) + 1
        self._offers = 0
        self._bytes = 0
        self._stored = 0
        self._stored_bytes = 0
        self._pending: dict[str, Offer] = {}
        self._is_silent = False
        self._knock_at = 0.0
        self._knock_seconds = KNOCK_SECONDS
        PENDING.set_function(lambda: len(self._pending))

    async def open(self) -> None:
        """Listen for the stream's words."""
        await self._session.subscribe(f"{self._inbox}.*", self._on_word, direct=True)

    @property
    def pending(self) -> int:
        """How many wait."""
        return len(self._pending)

    def has_room(self) -> bool:
        """Whether another envelope may wait."""
        return len(self._pending) < self._pending_max and self._bytes < self._pending_max_bytes

    async def place(self, offer: Offer) -> None:
        """Offer an envelope; the answer goes to its sender."""
        self._offers += 1
        key = str(self._offers)
        self._pending[key] = offer
        self._bytes += len(offer.data)
        if self._is_silent:
            return
        if not self._session.is_connected:
            self._fall_silent()
            return
        await self._send(key, offer)

    async def run(self) -> None:
        """Notice silence, knock, and give up what waits too long."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._count()
            now = self._monotonic()
            self._give_up(now)
            oldest = next(iter(self._pending.items()), None)
            if oldest is None:
                self._is_silent = False
                continue
            if not self._is_silent and now - oldest[1].sent > SILENCE_SECONDS:
                self._fall_silent()
            if self._is_silent and now >= self._knock_at and self._session.is_connected:
                self._knock_seconds = min(self._knock_seconds * 2, KNOCK_MAX_SECONDS)
                self._knock_at = now + self._knock_seconds * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                await self._send(*oldest)

    async def settle(self) -> None:
        """Wait until nothing waits any more."""
        while self._pending:  # noqa: ASYNC110 - the hot path shall not pay for an event that is awaited once
            await asyncio.sleep(TICK_SECONDS)
        self._count()

    def _count(self) -> None:
        # An increment of these counters takes a lock, so they are told in sums.
        STORED.inc(self._stored)
        STORED_BYTES.inc(self._stored_bytes)
        self._stored = self._stored_bytes = 0

    def _fall_silent(self) -> None:
        self._is_silent = True
        self._knock_seconds = KNOCK_SECONDS
        self._knock_at = self._monotonic() + KNOCK_SECONDS * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

    async def _send(self, key: str, offer: Offer) -> bool:
        offer.sent = self._monotonic()
        offer.tries += 1
        if offer.tries > 1:
            OFFERED_AGAIN.inc()
        try:
            await self._session.publish(
                subjects.mailbox(offer.recipient_token),
                offer.data,
                reply=f"{self._inbox}.{key}",
                headers=stored_headers(offer.token, offer.id, offer.expires_ms),
            )
        except BusUnavailable:
            self._fall_silent()
            return False
        return True

    async def _on_word(self, incoming: Incoming) -> None:
        key = incoming.subject[self._key_at :]
        offer = self._pending.get(key)
        if offer is None:
            return
        if not incoming.data:  # no responders: the stream has no leader
            self._fall_silent()
            return
        try:
            place = placed(incoming.data, MAILBOX)
        except StreamRefused as refused:
            if refused.code in TRANSIENT:
                self._fall_silent()
                return
            self._forget(key, offer)
            self._answers.refuse(offer.ask, offer.id, refusal_of(refused, offer.recipient, self._mailbox_max))
        else:
            self._forget(key, offer)
            if place.duplicate:
                self._on_double(offer, place.sequence)
            else:
                self._tell(offer, place)
        if self._is_silent:
            await self._resume()

    def _tell(self, offer: Offer, place: Placed) -> None:
        self._stored += 1
        self._stored_bytes += len(offer.data)
        SECONDS.observe(self._monotonic() - offer.arrived)
        self._answers.receipt(
            offer.ask,
            ReceiptItem(id=offer.id, status=ReceiptStatus.STORED, sequence=place.sequence),
        )

    async def _resume(self) -> None:
        started = self._monotonic()
        while waiting := [(key, offer) for key, offer in self._pending.items() if offer.sent < started]:
            for key, offer in waiting:
                if key in self._pending and not await self._send(key, offer):
                    return
        self._is_silent = False

    def _forget(self, key: str, offer: Offer) -> None:
        del self._pending[key]
        self._bytes -= len(offer.data)

    def _give_up(self, now: float) -> None:
        while self._pending:
            key, offer = next(iter(self._pending.items()))
            if now - offer.arrived <= self._budget_seconds:
                return
            self._forget(key, offer)
            self._answers.refuse(offer.ask, offer.id, NotAcknowledged(offer.id, self._budget_seconds))
