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
        bucket: EDGES.
        edge: Our id.

    """

    def __init__(self, bucket: Bucket, edge: str) -> None:
        self._bucket = bucket
        self._edge = edge
        self._value = msgspec.msgpack.encode(EdgeLease(edge=edge, since_ms=now_ms()))

    @classmethod
    async def take(cls, session: Session, edge: str) -> "Lease":
        """
        Give the first sign.

        Raises:
            BusError: If the bucket cannot be written.

        """
        bucket = await Bucket.ensure(session, EDGES, ttl_seconds=EDGE_LEASE_SECONDS, memory=True)
        lease = cls(bucket, edge)
        await lease.write()
        return lease

    async def write(self) -> None:
        """
        Give a sign.

        Raises:
            BusError: If it was not written.

        """
        await self._bucket.put(self._edge, self._value)

    async def renew(self) -> None:
        """Give the next sign; the one after it comes soon enough if the bus is away."""
        try:
            await self.write()
        except BusError:
            return

    async def give_up(self) -> None:
        """Say that this edge lives no longer; if that fails, the lease runs out by itself."""
        try:
            await self._bucket.delete(self._edge)
        except BusError:
            return
