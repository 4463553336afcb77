"""
Take envelopes in: the hot path.

In the common case (both records at hand) everything from the arrival to the publication happens in one callback,
without a task. What has to wait for a record goes into its sender's lane, and everything of that sender behind it.
"""

from collections.abc import Callable

from prometheus_client import Counter

from aiconexus.bus.session import Incoming
from aiconexus.protocol import subjects
from aiconexus.protocol.delivery_errors import NotAcknowledged, RateLimited
from aiconexus.protocol.did import PREFIX, token_in
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import AiconexusError, BusError
from aiconexus.protocol.records import RegistryRecord
from aiconexus.protocol.seal import Letter
from aiconexus.relay.admission import read_stored
from aiconexus.relay.placing import Offer, Placer
from aiconexus.runtime.answers import CODECS, Answers, Ask
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.lanes import Lanes
from aiconexus.runtime.parties import believe, check_parties, return_address
from aiconexus.runtime.roster import Roster

IGNORED = Counter("aiconexus_relay_envelopes_ignored", "Envelopes of senders that go on after being refused.")

CROWDED_RETRY_MS = 1_000
"""When to come again if too much waits for the stream."""


class Intake:
    """
    The verb ``submit``.

    Args:
        placer: Takes what was accepted.
        answers: Takes the refusals.
        registry: Who is registered.
        budgets: What each sender may hand over.
        monotonic: A clock in seconds.
        now_ms: A clock in milliseconds since the epoch.

    """

    def __init__(
        self,
        placer: Placer,
        answers: Answers,
        registry: Roster[RegistryRecord],
        budgets: Budgets,
        *,
        monotonic: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._placer = placer
        self._answers = answers
        self._registry = registry
        self._budgets = budgets
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._lanes: Lanes[tuple[Envelope, Offer]] = Lanes(self._look_up)

    async def submit(self, incoming: Incoming) -> None:
        """Check one envelope and offer it to the stream; the answer follows when the stream has spoken."""
        token = subjects.sender_of(incoming.subject)[0]
        now = self._monotonic()
        wait_ms = self._budgets.take(token, now)
        if wait_ms is None:
            IGNORED.inc()
            return
        try:
            if wait_ms:
                raise RateLimited(wait_ms)
            letter = self._read(incoming.data, token)
            envelope = letter.envelope
            offer = Offer(
                Ask(envelope.sender, CODECS[letter.sealed.codec], incoming.reply),
                token,
                envelope.id,
                envelope.recipient or "",
                token_in(envelope.recipient or ""),
                envelope.ends_ms,
                incoming.data,
                now,
            )
            await self._admit(envelope, offer, now)
        except AiconexusError as error:
            self._refuse(token, incoming, error)

    def _read(self, data: bytes, token: str) -> Letter:
        with self._budgets.reading(token, len(data)):
            letter = read_stored(data, token, self._now_ms())
            believe(letter)
        return letter

    async def settle(self) -> None:
        """Wait until nothing waits for a record."""
        await self._lanes.settle()

    async def _admit(self, envelope: Envelope, offer: Offer, now: float) -> None:
        if not self._lanes.is_busy(offer.token):
            sender = self._registry.known(offer.token, now)
            recipient = self._registry.known(offer.recipient_token, now)
            if sender is not None and recipient is not None:
                check_parties(envelope, sender, recipient)
                await self._place(offer)
                return
        if not self._lanes.put(offer.token, (envelope, offer)):
            raise RateLimited(CROWDED_RETRY_MS)

    async def _place(self, offer: Offer) -> None:
        if not self._placer.has_room():
            raise RateLimited(CROWDED_RETRY_MS)
        await self._placer.place(offer)

    async def _look_up(self, item: tuple[Envelope, Offer]) -> None:
        envelope, offer = item
        try:
            sender = await self._registry.look_up(offer.token)
            recipient = await self._registry.look_up(offer.recipient_token)
            check_parties(envelope, sender, recipient)
            await self._place(offer)
        except BusError:
            wait_seconds = self._monotonic() - offer.arrived
            self._answers.refuse(offer.ask, offer.id, NotAcknowledged(offer.id, round(wait_seconds, 1)))
        except AiconexusError as error:
            self._answers.refuse(offer.ask, offer.id, error)

    def _refuse(self, token: str, incoming: Incoming, error: AiconexusError) -> None:
        id_, codec = return_address(incoming.data)
        self._answers.refuse(Ask(PREFIX + token, codec, incoming.reply), id_, error)
