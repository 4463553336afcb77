"""Hand live envelopes (offers, answers, candidates, pings between agents) to who is connected; nobody keeps them."""

from collections.abc import Callable

from prometheus_client import Counter

from aiconexus.bus.session import Incoming, Session
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import ReceiptItem, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged, RateLimited
from aiconexus.protocol.did import PREFIX, token_in
from aiconexus.protocol.errors import AgentOffline, AiconexusError, BusError
from aiconexus.protocol.records import PresenceRecord, RegistryRecord
from aiconexus.protocol.replay import ReplayWindow
from aiconexus.protocol.seal import Letter
from aiconexus.runtime.answers import CODECS, Answers, Ask
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.lanes import Lanes
from aiconexus.runtime.parties import believe, check_parties, return_address
from aiconexus.runtime.roster import Roster
from aiconexus.signaling.admission import read_live

FORWARDED = Counter(
    "aiconexus_signaling_envelopes_forwarded", "Live envelopes that were handed to a connected agent.", ["type"]
)
IGNORED = Counter("aiconexus_signaling_envelopes_ignored", "Envelopes of senders that go on after being refused.")

CROWDED_RETRY_MS = 1_000
"""When to come again if too much of one sender is under way."""


class Forwarder:
    """
    The verb ``forward``.

    A candidate must not overtake its offer, so each sender has a lane.

    Args:
        session: To the bus.
        answers: Where receipts and refusals go.
        registry: Who is registered.
        presence: Who is connected.
        budgets: What each sender may hand over.
        monotonic: A clock in seconds.
        now_ms: A clock in milliseconds since the epoch.

    """

    def __init__(
        self,
        session: Session,
        answers: Answers,
        registry: Roster[RegistryRecord],
        presence: Roster[PresenceRecord],
        budgets: Budgets,
        *,
        monotonic: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._session = session
        self._answers = answers
        self._registry = registry
        self._presence = presence
        self._budgets = budgets
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._seen = ReplayWindow()
        self._lanes: Lanes[tuple[Letter, Ask, bytes]] = Lanes(self._hand_over)

    async def forward(self, incoming: Incoming) -> None:
        """Check one envelope and hand it to its recipient, or say that nobody is there."""
        token = subjects.sender_of(incoming.subject)[0]
        wait_ms = self._budgets.take(token, self._monotonic())
        if wait_ms is None:
            IGNORED.inc()
            return
        try:
            if wait_ms:
                raise RateLimited(wait_ms)
            letter = self._read(incoming.data, token)
            self._seen.admit(token, letter.envelope.id, self._now_ms())
            ask = Ask(letter.envelope.sender, CODECS[letter.sealed.codec], incoming.reply)
            if not self._lanes.put(token, (letter, ask, incoming.data)):
                raise RateLimited(CROWDED_RETRY_MS)
        except AiconexusError as error:
            id_, codec = return_address(incoming.data)
            self._answers.refuse(Ask(PREFIX + token, codec, incoming.reply), id_, error)

    async def note_presence(self, incoming: Incoming) -> None:
        """Somebody came or went; whatever is said of it, who is there is read again."""
        self._presence.forget(subjects.told_of(incoming.subject))

    def _read(self, data: bytes, token: str) -> Letter:
        with self._budgets.reading(token, len(data)):
            letter = read_live(data, token, self._now_ms())
            believe(letter)
        return letter

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        await self._lanes.settle()

    async def _hand_over(self, item: tuple[Letter, Ask, bytes]) -> None:
        letter, ask, data = item
        envelope = letter.envelope
        try:
            recipient_token = token_in(envelope.recipient or "")
            sender = await self._registry.look_up(token_in(envelope.sender))
            recipient = await self._registry.look_up(recipient_token)
            check_parties(envelope, sender, recipient)
            if await self._presence.look_up(recipient_token) is None:
                raise AgentOffline(envelope.recipient or "")
            await self._session.publish(subjects.inbox_live(recipient_token), data)
        except BusError:
            self._answers.refuse(ask, envelope.id, NotAcknowledged(envelope.id, 0))
        except AiconexusError as error:
            self._answers.refuse(ask, envelope.id, error)
        else:
            FORWARDED.labels(envelope.type).inc()
            self._answers.receipt(ask, ReceiptItem(id=envelope.id, status=ReceiptStatus.DELIVERED))
