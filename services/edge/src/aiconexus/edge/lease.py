"""The sign that this edge lives: identity forgets the sessions of an edge that does not give it."""

import msgspec

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Session
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.records import EDGE_LEASE_SECONDS, EDGES, EdgeLease


class Lease:
    """
    The entry of one edge in the bucket EDGES.

    Args:
        session: The bus.
        edge: Our id.

    """

    def __init__(self, session: Session, edge: str) -> None:
        self._session = session
        self._edge = edge
        self._bucket: Bucket | None = None
        self._value = msgspec.msgpack.encode(EdgeLease(edge=edge, since_ms=now_ms()))

    async def write(self) -> None:
        """
        Give a sign; the bucket is made where it is not, since it lives in the servers' memory.

        Raises:
            BusError: If it was not written.

        """
        if self._bucket is None:
            self._bucket = await Bucket.ensure(self._session, EDGES, ttl_seconds=EDGE_LEASE_SECONDS, memory=True)
        try:
            await self._bucket.put(self._edge, self._value)
        except BusError:
            self._bucket = None
            raise

    async def renew(self) -> None:
        """Give the next sign; if the bus is away, the one after it must do."""
        try:
            await self.write()
        except BusError:
            return

    async def give_up(self) -> None:
        """Say that this edge lives no longer; if that fails, the lease runs out by itself."""
        try:
            if self._bucket is not None:
                await self._bucket.delete(self._edge)
        except BusError:
            return
