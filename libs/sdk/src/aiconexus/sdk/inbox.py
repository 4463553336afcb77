"""
Read the mailbox: live copies as long as nothing lies between them, pages from the relay wherever something does.

An entry is forgotten by the relay only when it and all before it are done. Reading stops while too much is open.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Ack, Acked, Body, Fetch, Mail, MailItem
from aiconexus.protocol.envelope import check_lifetime, check_storable
from aiconexus.protocol.errors import (
    AiconexusError,
    BusError,
    EnvelopeError,
    EnvelopeExpired,
    ForeignSender,
    IdentityError,
    RemoteProblem,
)
from aiconexus.protocol.limits import PAGE_MAX
from aiconexus.protocol.seal import Letter, Sealed, unseal
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.link import Link
from aiconexus.sdk.progress import Progress, Ticket
from aiconexus.sdk.retrying import retrying
from aiconexus.sdk.road import Push

OPEN_MAX = 256
ACK_SECONDS = 0.2
ACK_ENTRIES = 64
SAFETY_SECONDS = 30.0
EMPTY_FETCHES_MAX = 5
"""A follower of the mailbox's stream may lag behind what was pushed."""

Take = Callable[[Letter, Body, Ticket], None]


class Counts(msgspec.Struct):
    """What the mailbox brought; ``poison`` was not acceptable, ``gaps`` were filled by a fetch."""

    read: int = 0
    poison: int = 0
    gaps: int = 0


class Inbox:
    """
    The reader of one mailbox.

    Args:
        link: The way to the relay.
        journal: Keeps the cursor.
        crew: Its background work.
        take: Gets every envelope once it is believed; must see to it that ``finish`` is called.
        on_acked: Told up to where the relay has forgotten.
        on_error: Told of poison.

    """

    def __init__(
        self,
        link: Link,
        journal: Journal,
        crew: Crew,
        *,
        take: Take,
        on_acked: Callable[[int], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.counts = Counts()
        self._link = link
        self._journal = journal
        self._crew = crew
        self._take = take
        self._on_acked = on_acked
        self._on_error = on_error
        self._progress = Progress(int(journal.fact("cursor") or 0))
        self._seen = 0
        self._is_behind = False
        self._is_paused = False
        self._finished = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._ackable = asyncio.Event()
        self._pressing = asyncio.Event()

    def note_online(self) -> None:
        """A connection began: see what came meanwhile."""
        self._fall_behind()

    def push(self, push: Push, sequence: int) -> bool:
        """
        Take a live copy.

        Returns:
            Whether it was read; otherwise a fetch will bring it, unless it was read before.

        """
        if sequence <= self._progress.position or self._is_paused:
            return False
        self._seen = max(self._seen, sequence)
        if self._is_behind:
            return False
        # A copy that does not name its predecessor proves nothing about what lies between.
        if push.previous is None or not self._progress.follows(push.previous) or not self._has_room:
            self.counts.gaps += 1
            self._fall_behind()
            return False
        self._read(push.sealed, sequence)
        return True

    def finish(self, ticket: Ticket) -> None:
        """An entry is done."""
        self._progress.finish(ticket)
        if self._has_room:
            self._room.set()
        if self._progress.unacked:
            self._finished += 1
            self._ackable.set()
            if self._finished >= ACK_ENTRIES:
                self._pressing.set()

    def pause(self) -> None:
        """Read nothing more."""
        self._is_paused = True

    def start(self) -> None:
        """Read, acknowledge and look after both."""
        self._crew.start(self._fetch_when_behind(), "inbox-fetch")
        self._crew.start(self._acknowledge(), "inbox-ack")
        self._crew.start(self._look_again(), "inbox-safety")

    async def close(self) -> None:
        """Stop."""
        await self._crew.close()

    async def ack(self) -> None:
        """
        Tell the relay now what it may forget.

        Raises:
            BusError: If it does not answer.
            RemoteProblem: If it refuses.

        """
        upto = self._progress.upto
        self._finished = 0
        if upto <= self._progress.acked:
            return
        await self._link.services.ask("relay", Ack(upto=upto), Acked)
        if upto <= self._progress.upto:
            self._progress.acked = upto
            self._journal.remember("cursor", str(upto))
            self._on_acked(upto)

    @property
    def _has_room(self) -> bool:
        return self._progress.open < OPEN_MAX

    def _fall_behind(self) -> None:
        self._is_behind = True
        self._wake.set()

    async def _fetch_when_behind(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            async for attempt in retrying(_is_remote):
                with attempt:
                    await self._link.online.wait()
                    await self._catch_up()

    async def _catch_up(self) -> None:
        empty = 0
        while self._is_behind and not self._is_paused:
            await self._wait_room()
            mail = await self._fetch(self._progress.position, OPEN_MAX - self._progress.open)
            for item in mail.items:
                if not self._is_paused:
                    self._read_item(item)
            empty = empty + 1 if not mail.items else 0
            missing = self._seen > self._progress.position and empty < EMPTY_FETCHES_MAX
            self._is_behind = bool(mail.pending and mail.items) or missing
            if empty and missing:
                await asyncio.sleep(0.02 * 2**empty)
        self._seen = self._progress.position

    async def _fetch(self, after: int, limit: int) -> Mail:
        return await self._link.services.ask("relay", Fetch(after=after, limit=max(1, min(limit, PAGE_MAX))), Mail)

    async def _wait_room(self) -> None:
        while not self._has_room:
            self._room.clear()
            await self._room.wait()

    def _read_item(self, item: MailItem) -> None:
        if item.sequence > self._progress.position:
            self._read(Sealed(item.codec, item.payload, item.signature), item.sequence)

    def _read(self, sealed: Sealed, sequence: int) -> None:
        """Believe an entry or throw it away; either way the mailbox goes on."""
        self.counts.read += 1
        ticket = self._progress.take(sequence)
        try:
            letter, body = open_mail(sealed, self._link.services.voice.did, now_ms())
        except (EnvelopeError, IdentityError) as error:
            self.counts.poison += 1
            self._on_error(error)
            self.finish(ticket)
            return
        self._take(letter, body, ticket)

    async def _acknowledge(self) -> None:
        while True:
            await self._ackable.wait()
            try:
                async with asyncio.timeout(ACK_SECONDS):
                    await self._pressing.wait()
            except TimeoutError:
                pass
            self._ackable.clear()
            self._pressing.clear()
            async for attempt in retrying(_is_remote):
                with attempt:
                    await self._link.online.wait()
                    await self.ack()

    async def _look_again(self) -> None:
        """The safety net under pushes that were lost without a trace, and under a mailbox that began anew."""
        while True:
            await asyncio.sleep(SAFETY_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load
            if not self._link.online.is_set() or self._is_behind:
                continue
            try:
                mail = await self._fetch(0, PAGE_MAX)
            except (BusError, RemoteProblem):
                continue
            oldest = mail.items[0].sequence if mail.items else 0
            if 0 < oldest <= self._progress.acked:
                # All up to ``acked`` was forgotten by the relay we knew. Ids protect what was handled.
                self._progress.rewind()
            if mail.pending or (mail.items and mail.items[-1].sequence > self._progress.position):
                self._fall_behind()


def open_mail(sealed: Sealed, reader: str, now: int) -> tuple[Letter, Body]:
    """
    Believe an entry of the mailbox.

    An envelope that is over is returned nevertheless: its sender must hear of it.

    Raises:
        EnvelopeError: If it is not acceptable.
        IdentityError: If it is not for the reader, or its signature is not the sender's.

    """
    letter = unseal(sealed)
    envelope = letter.envelope
    if envelope.recipient != reader:
        raise ForeignSender(envelope.sender, reader)
    check_storable(envelope.type)
    with contextlib.suppress(EnvelopeExpired):
        check_lifetime(envelope, now)
    return letter, letter.body


def _is_remote(error: BaseException) -> bool:
    return isinstance(error, AiconexusError)
