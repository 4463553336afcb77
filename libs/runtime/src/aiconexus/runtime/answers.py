"""
Tell senders what became of their envelopes, with one signature for several of them.

What is known about one sender's envelopes within one turn of the event loop goes into one RECEIPT, whose bytes are
published to each of the requests that it answers. A signature costs half as much as a verification, so this is where
a service under load saves most.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import msgspec
from prometheus_client import Counter

from aiconexus.bus.session import Session
from aiconexus.protocol.bodies import Receipt, ReceiptItem
from aiconexus.protocol.errors import AiconexusError, BusUnavailable
from aiconexus.protocol.problems import problem_of
from aiconexus.protocol.seal import Codec
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.voice import Voice

BATCH_MAX = 16
"""Items of one receipt: its bytes go out once for each item, so that they grow with the square."""

REFUSALS_MAX = 10_000

CODECS = {codec.value: codec for codec in Codec}
"""Calling the enumeration costs as much as reading an envelope."""


class Counters(NamedTuple):
    """What is counted of the answers of one service."""

    receipts: Counter
    refused: Counter
    unsent: Counter


@cache
def counters_of(service: str) -> Counters:
    """The counters of a service; made where it is put together, so that they show from the start."""
    name = f"aiconexus_{service}"
    return Counters(
        Counter(f"{name}_receipts_signed", "RECEIPT envelopes that answered requests."),
        Counter(f"{name}_envelopes_refused", "Envelopes that were answered with an ERROR.", ["problem"]),
        Counter(f"{name}_answers_unsent", "Answers that were given up because the bus is away."),
    )


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Whom an answer goes to: a DID, what it can read, and the subject where it waits."""

    sender: str
    codec: Codec
    reply: str


class _Refusal(msgspec.Struct, frozen=True, gc=False):
    ask: Ask
    in_reply_to: str | None
    error: AiconexusError


class Answers:
    """
    The answers that wait for the end of this turn.

    Args:
        session: To the bus.
        voice: Signs them.
        refusals: Takes notice of those that matter for security.
        counters: Those of the service.

    """

    def __init__(self, session: Session, voice: Voice, refusals: Refusals, counters: Counters) -> None:
        self._session = session
        self._voice = voice
        self._noted = refusals
        self._counters = counters
        self._items: dict[tuple[str, Codec], list[tuple[ReceiptItem, str]]] = {}
        self._refusals: deque[_Refusal] = deque()
        self._waiting = asyncio.Event()

    def receipt(self, ask: Ask, item: ReceiptItem) -> None:
        """Answer with a receipt, soon."""
        self._items.setdefault((ask.sender, ask.codec), []).append((item, ask.reply))
        self._waiting.set()

    def refuse(self, ask: Ask, in_reply_to: str | None, error: AiconexusError) -> None:
        """Answer with an ERROR, soon."""
        self._counters.refused.labels(problem_of(error).name).inc()
        self._noted.note(error, ask.sender)
        if len(self._refusals) >= REFUSALS_MAX:
            self._counters.unsent.inc()
            return
        self._refusals.append(_Refusal(ask, in_reply_to, error))
        self._waiting.set()

    async def run(self) -> None:
        """Send what was collected, turn by turn."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send what was collected so far."""
        collected, self._items = self._items, {}
        for (sender, codec), items in collected.items():
            for batch in batches(items):
                await self._say(sender, codec, batch)
        while self._refusals:
            refusal = self._refusals.popleft()
            ask = refusal.ask
            data = self._voice.complain(refusal.error, ask.sender, codec=ask.codec, in_reply_to=refusal.in_reply_to)
            await self._send(ask.reply, data)

    async def _say(self, sender: str, codec: Codec, batch: Sequence[tuple[ReceiptItem, str]]) -> None:
        self._counters.receipts.inc()
        receipt = Receipt(items=tuple(item for item, _ in batch))
        in_reply_to = batch[0][0].id if len(batch) == 1 else None
        data = self._voice.say(receipt, sender, codec=codec, in_reply_to=in_reply_to)
        for _, reply in batch:
            await self._send(reply, data)

    async def _send(self, reply: str, data: bytes) -> None:
        if not reply:
            return
        try:
            await self._session.publish(reply, data)
        except BusUnavailable:
            # The one who asked is as cut off as we are, and asks again.
            self._counters.unsent.inc()


def batches(
    items: Sequence[tuple[ReceiptItem, str]], batch_max: int = BATCH_MAX
) -> Iterator[Sequence[tuple[ReceiptItem, str]]]:
    """Cut a sender's items into receipts."""
    for start in range(0, len(items), batch_max):
        yield items[start : start + batch_max]
