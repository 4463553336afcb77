"""What an agent asks of its own mailbox: FETCH and ACK."""

import asyncio

from prometheus_client import Counter

from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Ack, Acked, Fetch, Mail
from aiconexus.protocol.limits import PAGE_MAX_BYTES
from aiconexus.protocol.records import MAILBOX
from aiconexus.relay.mailbox import mail_of
from aiconexus.runtime.desk import Request

FETCHES = Counter("aiconexus_relay_fetches", "FETCH requests that were answered.")
FETCHED = Counter("aiconexus_relay_envelopes_fetched", "Envelopes handed over in answers to FETCH.")
ACKS = Counter("aiconexus_relay_acks", "ACK requests that were answered.")
PURGED = Counter(
    "aiconexus_relay_envelopes_acknowledged", "Envelopes forgotten because their reader acknowledged them."
)


class Mailboxes:
    """The verbs ``fetch`` and ``ack``."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._wanted: dict[str, int] = {}
        self._purging: dict[str, asyncio.Lock] = {}

    async def fetch(self, request: Request[Fetch]) -> Mail:
        """Hand over the page behind the agent's cursor."""
        body = request.body
        page = await self._streams.batch(
            MAILBOX, subjects.stored(request.token), body.after, limit=body.limit, max_bytes=PAGE_MAX_BYTES
        )
        mail = mail_of(page)
        FETCHES.inc()
        FETCHED.inc(len(mail.items))
        return mail

    async def ack(self, request: Request[Ack]) -> Acked:
        """
        Forget what the agent has done with.

        A purge is the dearest thing that the stream is asked for, so what arrives while one is under way for the same
        mailbox shares the next one.
        """
        token, upto = request.token, request.body.upto
        self._wanted[token] = max(upto, self._wanted.get(token, 0))
        lock = self._purging.setdefault(token, asyncio.Lock())
        try:
            async with lock:
                wanted = self._wanted.pop(token, None)
                if wanted is not None:
                    PURGED.inc(await self._streams.purge(MAILBOX, subjects.stored(token), wanted))
        finally:
            if not lock.locked() and token not in self._wanted:
                self._purging.pop(token, None)
        ACKS.inc()
        return Acked(upto=upto)
