"""
Tell senders what became of their envelopes, in batches signed by us.

What is to be told follows from the journal, so that a crash between a handler's end and its receipt loses nothing.
"""

import asyncio
from typing import Any

from aiconexus.protocol.bodies import Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.limits import RECEIPT_ITEMS_MAX
from aiconexus.sdk.crew import Crew, cut_off
from aiconexus.sdk.direct.mail import Mail
from aiconexus.sdk.discovery import Discovery
from aiconexus.sdk.link import Link
from aiconexus.sdk.retrying import is_retryable, retrying
from aiconexus.sdk.rows import InRows

FLUSH_SECONDS = 0.05
IN_FLIGHT_MAX = 32


class Receipts:
    """
    What senders are to be told.

    Args:
        link: The way to the relay.
        rows: What has come.
        discovery: Knows what recipients can read.
        crew: Its background work.

    """

    def __init__(self, link: Link, rows: InRows, discovery: Discovery, crew: Crew) -> None:
        self.mail: Mail | None = None
        self._link = link
        self._rows = rows
        self._discovery = discovery
        self._crew = crew
        self._arrived: dict[str, dict[str, bool]] = {}
        self._wishes: dict[str, asyncio.Event] = {}
        self._news: dict[str, set[str]] = {}
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)

    def resume(self) -> None:
        """Take up what an earlier process left behind."""
        for sender in self._rows.untold_senders():
            self._wish(sender)

    def note_arrived(self, sender: str, id_: str) -> None:
        """An envelope waits for its handler or is with it."""
        self._arrived.setdefault(sender, {})[id_] = False
        self._wish(sender)

    def note_done(self, sender: str, id_: str) -> None:
        """The journal knows how it ended."""
        arrived = self._arrived.get(sender)
        if arrived is not None:
            arrived.pop(id_, None)
            if not arrived:
                del self._arrived[sender]
        self._wish(sender)
        self._news[sender].add(id_)

    async def flush(self) -> None:
        """Wait until everybody was told."""
        await self._crew.wait()

    async def close(self) -> None:
        """Stop; the rest is told by the next process."""
        await self._crew.close()

    def _wish(self, sender: str) -> None:
        wish = self._wishes.get(sender)
        if wish is None:
            wish = self._wishes[sender] = asyncio.Event()
            self._news[sender] = set()
            self._crew.start(self._tell(sender, wish), f"receipts-{sender}")
        wish.set()

    async def _tell(self, sender: str, wish: asyncio.Event) -> None:
        """Tell one sender all there is, then end."""
        while wish.is_set():
            await asyncio.sleep(FLUSH_SECONDS)
            wish.clear()
            while items := self._collect(sender):
                await self._deliver(sender, items)
                self._note_told(sender, items)
                if len(items) < RECEIPT_ITEMS_MAX:
                    # What ends meanwhile shares the next receipt, and its one signature.
                    break
        del self._wishes[sender], self._news[sender]

    def _collect(self, sender: str) -> tuple[ReceiptItem, ...]:
        self._news[sender].clear()
        ended = [
            ReceiptItem(id=id_, status=status, problem=problem)
            for id_, status, problem in self._rows.untold(sender, RECEIPT_ITEMS_MAX)
        ]
        waiting = [
            ReceiptItem(id=id_, status=ReceiptStatus.DELIVERED)
            for id_, is_told in self._arrived.get(sender, {}).items()
            if not is_told
        ]
        return tuple((ended + waiting)[:RECEIPT_ITEMS_MAX])

    def _note_told(self, sender: str, items: tuple[ReceiptItem, ...]) -> None:
        ended = {item.id for item in items if item.status is not ReceiptStatus.DELIVERED}
        # Whoever asked again while we told gets another answer.
        self._rows.mark_told(sender, ended - self._news[sender])
        arrived = self._arrived.get(sender, {})
        arrived.update({item.id: True for item in items if item.id in arrived})

    async def _deliver(self, sender: str, items: tuple[ReceiptItem, ...]) -> None:
        """Hand one batch to its reader or to the relay; what the relay refuses for good, nobody waits for."""
        receipt = Receipt(items=items)
        try:
            async for attempt in retrying(is_retryable):
                with attempt:
                    if await self._carried(sender, receipt):
                        return
                    async with self._room:
                        codec = await self._discovery.codec_for(sender)
                        await self._link.services.submit(self._link.services.voice.say(receipt, sender, codec))
        except AiconexusError:
            return

    async def _carried(self, sender: str, receipt: Receipt) -> bool:
        """Whether the direct road took it; otherwise wait until the relay can."""
        if self.mail is None or not self.mail.knows(sender):
            await self._link.online.wait()
            return False
        while True:
            if self.mail.to(sender) is not None:
                codec = self._discovery.guess_codec(sender)
                if await self.mail.hand(sender, self._link.services.voice.say(receipt, sender, codec)):
                    return True
            if self._link.online.is_set():
                return False
            await self._wait_any(sender, self.mail)

    async def _wait_any(self, sender: str, mail: Mail) -> None:
        """Wait for a road of either kind."""
        roads: set[asyncio.Task[Any]] = {
            asyncio.create_task(mail.wait_ready(sender)),
            asyncio.create_task(self._link.online.wait()),
        }
        try:
            await asyncio.wait(roads, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cut_off(roads)
