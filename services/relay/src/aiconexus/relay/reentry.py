"""
Put envelopes into mailboxes again for the retry service, and tell it what is still there.

The envelope is its first sender's, unchanged, and passes the same checks as one that the sender submits; only that the
sender is connected is not asked. Retry ends what it has placed: such an entry outlives its envelope for a while, so
that an end of the envelope is noticed by one service only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TypeVar

from prometheus_client import Counter

from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Receipt
from aiconexus.protocol.did import token_in
from aiconexus.protocol.envelope import Envelope, check_lifetime, check_storable
from aiconexus.protocol.errors import AiconexusError, StreamRefused
from aiconexus.protocol.job_bodies import Look, Looked, Place, Placed, PlacedItem, PlaceItem
from aiconexus.protocol.problems import report
from aiconexus.protocol.records import MAILBOX, RegistryRecord
from aiconexus.protocol.seal import Letter, peek, split
from aiconexus.relay.mailbox import refusal_of, stored_headers
from aiconexus.runtime.desk import Request
from aiconexus.runtime.parties import believe, check_parties
from aiconexus.runtime.roster import Roster

PLACED_AGAIN = Counter("aiconexus_relay_envelopes_placed", "Envelopes that the retry service put into a mailbox.")
REFUSED_AGAIN = Counter("aiconexus_relay_placements_refused", "Envelopes of the retry service that were refused.")
REMOVED = Counter("aiconexus_relay_envelopes_removed", "Entries that the retry service took out of a mailbox.")

AT_ONCE = 32
"""Questions to the stream that one request may have under way."""

OUTLIVES_MS = 3_600_000
"""How long an entry of the retry service may lie beyond the end of its envelope, if that service is away."""

In = TypeVar("In")
Out = TypeVar("Out")


class Reentry:
    """
    The verbs ``place`` and ``look``, for the retry service alone.

    Args:
        streams: To the mailboxes.
        registry: Who is registered.
        services: The DIDs of the services, which are not.
        mailbox_max: Envelopes that a mailbox holds, for the message of a refusal.
        now_ms: A clock in milliseconds since the epoch.

    """

    def __init__(
        self,
        streams: Streams,
        registry: Roster[RegistryRecord],
        services: Collection[str],
        mailbox_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._streams = streams
        self._registry = registry
        self._services = frozenset(services)
        self._mailbox_max = mailbox_max
        self._now_ms = now_ms

    async def place(self, request: Request[Place]) -> Placed:
        """Put each envelope into its recipient's mailbox, or say why not."""

        async def placed(item: PlaceItem) -> PlacedItem:
            return await self._placed(item, request.sender)

        return Placed(items=tuple(await _each(request.body.items, placed)))

    async def look(self, request: Request[Look]) -> Looked:
        """Name the entries that are still there; with ``remove``, those that were."""
        body = request.body
        ask = self._removed if body.remove else self._is_there
        there = await _each(body.sequences, ask)
        return Looked(
            present=tuple(sequence for sequence, is_there in zip(body.sequences, there, strict=True) if is_there)
        )

    async def _placed(self, item: PlaceItem, asker: str) -> PlacedItem:
        try:
            sequence = await self._put(item, asker)
        except AiconexusError as error:
            REFUSED_AGAIN.inc()
            problem = report(error)
            return PlacedItem(
                problem=problem.problem,
                message=problem.message,
                retryable=problem.retryable,
                retry_after_ms=problem.retry_after_ms or 0,
            )
        PLACED_AGAIN.inc()
        return PlacedItem(sequence=sequence)

    async def _put(self, item: PlaceItem, asker: str) -> int:
        letter = self._read(item.envelope)
        envelope = letter.envelope
        recipient = token_in(envelope.recipient or "")
        await self._check_parties(envelope, recipient, asker)
        # No id holds a slash, so that no attempt is taken for another envelope.
        headers = stored_headers(
            token_in(envelope.sender), f"{envelope.id}/{item.attempt}", envelope.ends_ms + OUTLIVES_MS
        )
        try:
            place = await self._streams.publish(
                subjects.mailbox(recipient), item.envelope, id_=headers.pop("Nats-Msg-Id"), headers=headers
            )
        except StreamRefused as refused:
            raise refusal_of(refused, envelope.recipient or "", self._mailbox_max) from refused
        return place.sequence

    def _read(self, data: bytes) -> Letter:
        sealed = split(data)
        envelope = peek(sealed)
        check_storable(envelope.type)
        check_lifetime(envelope, self._now_ms())
        letter = Letter(envelope, sealed)
        believe(letter)
        return letter

    async def _check_parties(self, envelope: Envelope, recipient: str, asker: str) -> None:
        if envelope.sender in self._services and (envelope.sender == asker) is (envelope.type == Receipt.TYPE):
            # What retry itself has to say, or what another service left to it: nobody registers a service.
            sender: RegistryRecord | None = RegistryRecord(did=envelope.sender, registered_ms=0, updated_ms=0)
        else:
            sender = await self._registry.look_up(token_in(envelope.sender))
        check_parties(envelope, sender, await self._registry.look_up(recipient))

    async def _is_there(self, sequence: int) -> bool:
        return await self._streams.has(MAILBOX, sequence)

    async def _removed(self, sequence: int) -> bool:
        was_there = await self._streams.delete(MAILBOX, sequence)
        REMOVED.inc(was_there)
        return was_there


async def _each(items: Iterable[In], work: Callable[[In], Awaitable[Out]]) -> list[Out]:
    """Work on all of them, a bounded number at the same time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def bounded(item: In) -> Out:
        async with room:
            return await work(item)

    return await asyncio.gather(*map(bounded, items))
