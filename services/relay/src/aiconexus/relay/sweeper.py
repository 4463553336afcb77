"""
Expire what nobody read in time: tell the sender, then forget the envelope.

Only one replica sweeps. It walks what is still there some seconds after it was stored (nearly everything is read and
gone by then), notes when it ends, and keeps nothing that a successor could not walk again.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.did import token_in
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import BusError, EnvelopeError, StreamRefused
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import LIFETIME_MAX_MS
from aiconexus.protocol.records import MAILBOX
from aiconexus.protocol.seal import Codec, compose, peek, split
from aiconexus.relay.expiry import Agenda, notice_id
from aiconexus.relay.handover import Handover
from aiconexus.relay.lease import Lease
from aiconexus.relay.mailbox import SUBJECT_OR_STREAM_FULL, expires_ms_of, stored_headers, stored_ms_of

EXPIRED = Counter("aiconexus_relay_envelopes_expired", "Envelopes that nobody read in time.")
POSTPONED = Counter("aiconexus_relay_notices_postponed", "Notices of expiry for which the sender had no room.")
UNREADABLE = Counter("aiconexus_relay_entries_unreadable", "Entries that ended and could not be read.")
HOLDS_LEASE = Gauge("aiconexus_relay_sweeper_active", "1 in the replica that expires envelopes.")
KEPT = Gauge("aiconexus_relay_mailbox_envelopes", "Envelopes in all mailboxes.")
KEPT_BYTES = Gauge("aiconexus_relay_mailbox_bytes", "Bytes of all mailboxes.")

SETTLED_MS = 5_000
"""An envelope is looked at when it has lain this long: a shorter life ends this much later."""
PAGE_LIMIT = 256
PAGE_BYTES = 512 * 1024
WALK_SHARE = 0.2
"""Of the time between two sweeps: under load, what nobody reads is noted later rather than what comes in."""
ENDS_PER_SWEEP = 1_000
POSTPONED_MS = 60_000
GAUGE_SWEEPS = 10


class Sweeper:
    """
    The walk along the mailboxes.

    Args:
        streams: To the mailboxes.
        lease: Who holds it sweeps.
        key: Signs the notices.
        entries_max: Ends that are kept in memory.
        sweep_seconds: Between two looks.
        now_ms: A clock in milliseconds since the epoch.
        handover: Sees to what connected recipients leave lying, if somebody shall.

    """

    def __init__(
        self,
        streams: Streams,
        lease: Lease,
        key: SigningKey,
        *,
        entries_max: int,
        sweep_seconds: float,
        now_ms: Callable[[], int],
        handover: Handover | None = None,
    ) -> None:
        self._streams = streams
        self._lease = lease
        self._key = key
        self._sweep_seconds = sweep_seconds
        self._now_ms = now_ms
        self._handover = handover
        self._agenda = Agenda(entries_max)
        self._cursor = 0
        self._was_held = False

    async def run(self) -> None:
        """Sweep for ever; what fails because the bus is away is done in a later sweep."""
        sweeps = 0
        while True:
            try:
                if sweeps % GAUGE_SWEEPS == 0:
                    await self._measure()
                await self.sweep()
            except BusError:
                pass  # the next sweep finds the same work
            sweeps += 1
            await asyncio.sleep(self._sweep_seconds)

    async def sweep(self) -> None:
        """
        Note what lies there and expire what is due, if the lease is ours.

        Raises:
            BusError: If the bus is away.

        """
        held = await self._lease.hold()
        HOLDS_LEASE.set(held)
        if held and not self._was_held:
            self._start_over()
        self._was_held = held
        if not held:
            return
        if self._agenda.needs_walk(self._now_ms()):
            self._start_over()
        await self._walk()
        for sequence in self._agenda.due(self._now_ms(), ENDS_PER_SWEEP):
            if not await self._lease.hold():
                return
            await self._expire(sequence)
        if self._handover is not None:
            await self._handover.visit()

    def _start_over(self) -> None:
        self._agenda.clear()
        self._cursor = 0

    async def _walk(self) -> None:
        until_ms = self._now_ms() + self._sweep_seconds * 1000 * WALK_SHARE
        while self._now_ms() < until_ms:
            page = await self._streams.batch(
                MAILBOX, subjects.all_stored(), self._cursor, limit=PAGE_LIMIT, max_bytes=PAGE_BYTES
            )
            settled_ms = self._now_ms() - SETTLED_MS
            for stored in page.items:
                if stored_ms_of(stored) > settled_ms:
                    return
                self._agenda.add(expires_ms_of(stored), stored.sequence)
                if self._handover is not None:
                    self._handover.note(stored)
                self._cursor = stored.sequence
            if not page.pending or not await self._lease.hold():
                return

    async def _expire(self, sequence: int) -> None:
        try:
            stored = await self._streams.get(MAILBOX, sequence)
            if stored is None:
                return
            sealed = split(stored.data)
            envelope = peek(sealed, is_canonical=True)
            if envelope.type != Receipt.TYPE:
                await self._tell(envelope, Codec(sealed.codec))
            if await self._streams.delete(MAILBOX, sequence):
                EXPIRED.inc()
        except EnvelopeError:
            # Nobody could be told, and it must not stop the others: the stream forgets it by its age.
            UNREADABLE.inc()
        except StreamRefused as refused:
            if refused.code != SUBJECT_OR_STREAM_FULL:
                raise
            # Neither silently gone nor told: it stays until its sender has room again.
            POSTPONED.inc()
            self._agenda.add(self._now_ms() + POSTPONED_MS, sequence)
        except BusError:
            self._agenda.add(self._now_ms(), sequence)
            raise

    async def _tell(self, envelope: Envelope, codec: Codec) -> None:
        id_ = notice_id(envelope)
        now_ms = self._now_ms()
        notice = compose(
            Receipt(items=(ReceiptItem(id=envelope.id, status=ReceiptStatus.EXPIRED),)),
            self._key,
            envelope.sender,
            id_=id_,
            now_ms=now_ms,
            codec=codec,
            in_reply_to=envelope.id,
        )
        headers = stored_headers(self._key.token, id_, now_ms + LIFETIME_MAX_MS)
        await self._streams.publish(
            subjects.mailbox(token_in(envelope.sender)), notice, id_=headers.pop("Nats-Msg-Id"), headers=headers
        )

    async def _measure(self) -> None:
        state = (await self._streams.info(MAILBOX))["state"]
        KEPT.set(state["messages"])
        KEPT_BYTES.set(state["bytes"])
