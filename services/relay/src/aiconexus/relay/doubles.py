"""
What becomes of an envelope whose id the stream has taken before.

The stream takes an id once within its window, also if the entry was read and deleted meanwhile. Whoever submits the
same bytes again has only missed our answer. But whoever asks again without knowing what became of the first time wants
an answer, and gets it from the recipient, which knows the id: so the recipient has to see the envelope once more.
"""

import asyncio
from enum import Enum, auto

from prometheus_client import Counter

from aiconexus.bus.streams import Placed, Stored, Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import ReceiptItem, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged, RateLimited
from aiconexus.protocol.digests import says_the_same
from aiconexus.protocol.errors import AiconexusError, BusError, ConflictingEnvelope, StreamRefused
from aiconexus.protocol.records import MAILBOX
from aiconexus.protocol.seal import Letter, peek, split
from aiconexus.relay.mailbox import DUPLICATE_WINDOW_SECONDS, refusal_of, stored_headers
from aiconexus.relay.placing import Offer
from aiconexus.runtime.answers import Answers

DUPLICATES = Counter("aiconexus_relay_envelopes_duplicate", "Envelopes that the stream had already.")
STORED_AGAIN = Counter("aiconexus_relay_envelopes_stored_again", "Envelopes that went to a recipient once more.")

AT_ONCE = 64
"""Questions to the stream that are under way."""
TIMES_MAX = 8
"""How often an id is stored again within the window: whoever goes on comes back when it is over."""
LAG_SECONDS = 0.02
CROWDED_RETRY_MS = 1_000


class Double(Enum):
    """What the second envelope under an id is to the first one."""

    SAME = auto()
    ASKED_AGAIN = auto()
    ANOTHER = auto()


def compare(first: bytes, second: bytes) -> Double:
    """
    Tell two sealed envelopes of one sender under one id apart.

    What was only written anew for another codec keeps its time, and is the same.
    """
    if first == second:
        return Double.SAME
    one, other = _read(first), _read(second)
    if not says_the_same(one, other):
        return Double.ANOTHER
    return Double.SAME if one.envelope.created_ms == other.envelope.created_ms else Double.ASKED_AGAIN


class Doubles:
    """
    The envelopes that are being looked into.

    Args:
        streams: To the mailboxes.
        answers: Where the result goes.
        budget_seconds: How long it may take before the sender is told to come again.
        waiting_max: Envelopes that may wait; after an outage of the bus all that were offered twice do.
        mailbox_max: Envelopes that a mailbox holds, for the message of a refusal.

    """

    def __init__(
        self, streams: Streams, answers: Answers, *, budget_seconds: float, waiting_max: int, mailbox_max: int
    ) -> None:
        self._streams = streams
        self._answers = answers
        self._budget_seconds = budget_seconds
        self._waiting_max = waiting_max
        self._mailbox_max = mailbox_max
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, offer: Offer, sequence: int) -> None:
        """See to an envelope whose id the stream gave to an entry before."""
        if len(self._tasks) >= self._waiting_max:
            self._answers.refuse(offer.ask, offer.id, RateLimited(CROWDED_RETRY_MS))
            return
        task = asyncio.get_running_loop().create_task(self._answer(offer, sequence))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until everything is answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, offer: Offer, sequence: int) -> None:
        try:
            async with asyncio.timeout(self._budget_seconds), self._room:
                item = await self._settled(offer, sequence)
        except StreamRefused as refused:
            self._answers.refuse(offer.ask, offer.id, refusal_of(refused, offer.recipient, self._mailbox_max))
        except (TimeoutError, BusError):
            self._answers.refuse(offer.ask, offer.id, NotAcknowledged(offer.id, self._budget_seconds))
        except AiconexusError as error:
            self._answers.refuse(offer.ask, offer.id, error)
        else:
            self._answers.receipt(offer.ask, item)

    async def _settled(self, offer: Offer, sequence: int) -> ReceiptItem:
        for _ in range(TIMES_MAX):
            there = await self._find(sequence)
            double = Double.ASKED_AGAIN if there is None else compare(there.data, offer.data)
            if double is Double.ANOTHER:
                raise ConflictingEnvelope(offer.id)
            if double is Double.SAME:
                # What we offered twice ourselves is no duplicate of the sender's.
                is_duplicate = offer.tries == 1
                DUPLICATES.inc(is_duplicate)
                return _stored(offer, sequence, duplicate=is_duplicate)
            # Whichever replica is asked, and however often: each entry is followed by one.
            place = await self._store(offer, f"{offer.id}@{sequence}")
            if not place.duplicate:
                STORED_AGAIN.inc()
                return _stored(offer, place.sequence, duplicate=False)
            sequence = place.sequence
        raise RateLimited(DUPLICATE_WINDOW_SECONDS * 1000)

    async def _find(self, sequence: int) -> Stored | None:
        while (there := await self._streams.get(MAILBOX, sequence)) is None:
            if not await self._streams.has(MAILBOX, sequence):
                return None
            await asyncio.sleep(LAG_SECONDS)
        return there

    async def _store(self, offer: Offer, id_: str) -> Placed:
        headers = stored_headers(offer.token, id_, offer.expires_ms)
        return await self._streams.publish(
            subjects.mailbox(offer.recipient_token), offer.data, id_=headers.pop("Nats-Msg-Id"), headers=headers
        )


def _read(data: bytes) -> Letter:
    """The stream holds, and admission lets pass, nothing but what can be read."""
    sealed = split(data)
    return Letter(peek(sealed), sealed)


def _stored(offer: Offer, sequence: int, *, duplicate: bool) -> ReceiptItem:
    return ReceiptItem(id=offer.id, status=ReceiptStatus.STORED, sequence=sequence, duplicate=duplicate)
