"""
Compare the sessions here with those that everybody sees.

A session that another one has replaced must close. One that got lost, because this edge was cut off or identity
believed so, is attached again with the REGISTER that began it.
"""

import asyncio

import msgspec

from aiconexus.bus.buckets import Bucket
from aiconexus.edge.connection import Connection
from aiconexus.edge.refusals import close_of
from aiconexus.edge.sessions import attach
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol.closing import Close
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.records import PRESENCE, PresenceRecord
from aiconexus.runtime.context import Context

AT_ONCE = 32
RETRY_SECONDS = 1.0

_decode = msgspec.msgpack.Decoder(PresenceRecord).decode


class Audit:
    """
    Looks at connections of which there is a doubt.

    Args:
        context: Of the service.

    """

    def __init__(self, context: Context[EdgeSettings]) -> None:
        self._context = context
        self._bucket = Bucket(context.session, PRESENCE)
        self._doubted: dict[Connection, None] = {}
        self._some = asyncio.Event()

    def doubt(self, connection: Connection) -> None:
        """Have a connection looked at soon."""
        self._doubted[connection] = None
        self._some.set()

    async def run(self) -> None:
        """Look at whatever is doubted, for ever."""
        while True:
            await self._some.wait()
            batch = list(self._doubted)[:AT_ONCE]
            for connection in batch:
                del self._doubted[connection]
            failed = not all(await asyncio.gather(*(self._look(connection) for connection in batch)))
            if not self._doubted:
                self._some.clear()
            elif failed:
                await asyncio.sleep(RETRY_SECONDS)

    async def _look(self, connection: Connection) -> bool:
        """Settle the doubt; false if that must be tried again."""
        try:
            await self._settle(connection)
        except AiconexusError:
            self.doubt(connection)
            return False
        return True

    async def _settle(self, connection: Connection) -> None:
        entry = None if _is_over(connection) else await self._bucket.get(connection.token)
        if _is_over(connection):
            return
        if entry is None:
            _, problem = await attach(self._context, connection)
            if problem is not None:
                connection.end(close_of(problem), problem.message)
        elif _decode(entry.value).session != connection.session:
            connection.end(Close.TAKEN_OVER)


def _is_over(connection: Connection) -> bool:
    return connection.is_leaving or connection.ending is not None
