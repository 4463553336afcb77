"""
Keep what identity records and what is connected here the same.

Identity learns of every session that ends, though it may be away just then. What it records is compared with what is
here when there is a doubt, and once in a while: a session that another one has replaced must close, one that got lost
must begin again.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress

import msgspec

from aiconexus.bus.buckets import Bucket
from aiconexus.edge.connection import Connection
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol.bodies import Detach
from aiconexus.protocol.closing import REASONS, Close
from aiconexus.protocol.errors import AiconexusError, BusError, RemoteProblem
from aiconexus.protocol.records import PresenceRecord
from aiconexus.runtime.ask import ask
from aiconexus.runtime.context import Context

AT_ONCE = 32
RETRY_SECONDS = 1.0
FAREWELLS_MAX = 65_536
REASON_CHARACTERS = 256

_decode = msgspec.msgpack.Decoder(PresenceRecord).decode


class Farewells:
    """
    Sessions that have ended and of which identity does not know that yet.

    Args:
        context: Of the service.

    """

    def __init__(self, context: Context[EdgeSettings]) -> None:
        self._context = context
        self._waiting: OrderedDict[str, Detach] = OrderedDict()
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: Connection) -> None:
        """Tell identity that this session is over, as soon as it can be told."""
        code, reason = connection.ending or (Close.NORMAL, REASONS[Close.NORMAL])
        self._add(self._detach(connection, f"{code} {reason}".strip()))

    async def tell_now(self, connection: Connection, reason: str | None) -> None:
        """Tell identity that this session is over, and wait until it knows; if it is away, it is told later."""
        detach = self._detach(connection, reason)
        connection.is_attached = False
        if not await self._tell(detach):
            self._add(detach)

    def _detach(self, connection: Connection, reason: str | None) -> Detach:
        return Detach(
            did=connection.did,
            session=connection.session,
            edge=self._context.instance,
            reason=reason and reason[:REASON_CHARACTERS],
        )

    def _add(self, detach: Detach) -> None:
        self._waiting[detach.session] = detach
        if len(self._waiting) > FAREWELLS_MAX:
            self._waiting.popitem(last=False)
        self._none.clear()
        self._some.set()

    async def tell(self) -> None:
        """Tell identity whatever it does not know yet, for ever."""
        while True:
            await self._some.wait()
            batch = list(self._waiting.values())[:AT_ONCE]
            told = await asyncio.gather(*(self._tell(detach) for detach in batch))
            if not self._waiting:
                self._some.clear()
                self._none.set()
            elif not any(told):
                await asyncio.sleep(RETRY_SECONDS)

    async def drain(self, wait_seconds: float) -> None:
        """Wait until identity knows everything, but not longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await self._none.wait()

    async def _tell(self, detach: Detach) -> bool:
        try:
            await ask(self._context, "identity", "detach", detach)
        except RemoteProblem as problem:
            if problem.retryable:
                return False
        except AiconexusError:
            return False
        self._waiting.pop(detach.session, None)
        return True


class Audit:
    """
    Compares connections with the bucket of who is present.

    Args:
        bucket: PRESENCE, which identity writes.

    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def check(self, connection: Connection) -> None:
        """End a connection whose session is not the live one of its agent; if nobody can tell, leave it."""
        try:
            entry = await self._bucket.get(connection.token)
        except BusError:
            return
        if not connection.is_registered or connection.ending is not None:
            return
        if entry is None:
            connection.end(Close.GOING_AWAY, "your presence was lost, connect again")
        elif _decode(entry.value).session != connection.session:
            connection.end(Close.TAKEN_OVER)
