"""Follow which edges live; their bucket may come later than we do."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiconexus.bus.buckets import Bucket, Watch
from aiconexus.bus.session import Session
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.records import EDGES

RETRY_SECONDS = 1.0
RENEWAL_SECONDS = 0.5
"""How late we may notice that a lease ran out."""


class Leases:
    """
    The leases of all edges.

    Args:
        session: In the services' account.
        on_lease: Told of each change, as ``Bucket.watch`` tells it.

    """

    def __init__(self, session: Session, on_lease: Callable[[str, bytes | None, int], None]) -> None:
        self._bucket = Bucket(session, EDGES)
        self._on_lease = on_lease
        self._task: asyncio.Task[None] | None = None
        self._watch: Watch | None = None

    async def is_held(self, edge: str) -> bool:
        """
        Whether an edge has given a sign of life lately.

        Raises:
            BusError: If the bucket cannot be read, or is not there.

        """
        return await self._bucket.get(edge) is not None

    def open(self) -> None:
        """Follow, as soon as there is something to follow."""
        self._task = asyncio.get_running_loop().create_task(self._start())

    async def close(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._watch is not None:
            await self._watch.stop()

    async def _start(self) -> None:
        while self._watch is None:
            try:
                self._watch = await self._bucket.watch(self._on_lease, renewal_seconds=RENEWAL_SECONDS)
            except BusError:
                # No edge has ever started here; there is nothing to wait for but the first.
                await asyncio.sleep(RETRY_SECONDS)
