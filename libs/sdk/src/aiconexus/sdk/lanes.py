"""In which order, and by which road, the envelopes of the outbox leave: one lane for each recipient."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aiconexus.bus.clock import now_ms
from aiconexus.sdk.crew import Crew, cut_off
from aiconexus.sdk.direct.carriage import Carriage
from aiconexus.sdk.direct.mail import Mail
from aiconexus.sdk.rows import QUEUED, STORED, OutRow, OutRows


class Lanes:
    """
    What waits to be sent.

    Args:
        rows: The outbox.
        crew: Its background work.
        deliver: Brings an envelope to the relay, or to its bad end.
        fit: Its bytes for the direct road.

    """

    def __init__(
        self,
        rows: OutRows,
        crew: Crew,
        *,
        deliver: Callable[[OutRow], Awaitable[None]],
        fit: Callable[[OutRow], bytes],
    ) -> None:
        self.mail: Mail | None = None
        self.queued = 0
        self._rows = rows
        self._crew = crew
        self._deliver = deliver
        self._fit = fit
        self._lanes: dict[str, deque[str]] = {}
        self._by_relay: set[str] = set()

    def add(self, recipient: str, id_: str) -> None:
        """Send it after all that waits for the recipient."""
        self._lane(recipient).append(id_)
        self.queued += 1

    def put_back(self, recipient: str, ids: list[str]) -> None:
        """Send these again, each in its place among what waits."""
        if not ids:
            return
        lane = self._lane(recipient)
        ordered = self._rows.in_order((*ids, *lane))
        self.queued += len(ordered) - len(lane)
        lane.clear()
        lane.extend(ordered)

    def by_relay(self, recipient: str, ids: list[str]) -> None:
        """Likewise, but through the relay, whatever other road there is."""
        self._by_relay.update(ids)
        self.put_back(recipient, ids)

    def forget(self, recipient: str, id_: str) -> None:
        """An envelope has come to its end."""
        self._by_relay.discard(id_)
        if self.mail is not None:
            self.mail.forget(recipient, id_)

    def _lane(self, recipient: str) -> deque[str]:
        lane = self._lanes.get(recipient)
        if lane is None:
            lane = self._lanes[recipient] = deque()
            self._crew.start(self._drive(recipient, lane), f"outbox-{recipient}")
        return lane

    async def _drive(self, recipient: str, lane: deque[str]) -> None:
        """Send what waits for one recipient, one by one, until nothing does."""
        while lane:
            id_ = lane[0]
            row = self._rows.find(id_)
            if row is not None and await self._carry(row, lane):
                continue
            # What follows may go through a pipe and must not come before it.
            if row is not None and row.state == QUEUED and (not await self._relay(row) or self._has_pipe(id_)):
                continue
            self._leave(lane, id_)
        del self._lanes[recipient]

    async def _relay(self, row: OutRow) -> bool:
        """
        Send through the relay, and think again if a pipe is ready sooner; the recipient knows what comes twice.

        Returns:
            Whether it came to an end with the relay.

        """
        is_bound = row.plan is not None or row.id in self._by_relay
        if self.mail is None or is_bound or not self.mail.knows(row.recipient):
            await self._deliver(row)
            return True
        work = asyncio.ensure_future(self._deliver(row))
        ready = asyncio.create_task(self.mail.wait_ready(row.recipient))
        try:
            await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cut_off({work, ready})
        if work.cancelled():
            return False
        work.result()
        return True

    async def _carry(self, row: OutRow, lane: deque[str]) -> bool:
        """Whether the direct road took an envelope, or changed what is next."""
        pipe = self._pipe_for(row)
        if pipe is None or row.ends_ms <= now_ms():
            return False
        sealed = self._fit(row)
        # While we wait for room the pipe may break, and what it carried comes first again.
        if await pipe.wait_room() and lane and lane[0] == row.id and pipe.carry(row.id, sealed):
            self._leave(lane, row.id)
        return True

    def _has_pipe(self, id_: str) -> bool:
        row = self._rows.find(id_)
        return row is not None and self._pipe_for(row) is not None

    def _pipe_for(self, row: OutRow) -> Carriage | None:
        if self.mail is None or row.plan is not None or row.id in self._by_relay:
            return None
        is_ours = row.sealed is not None and row.state in (QUEUED, STORED)
        return self.mail.to(row.recipient) if is_ours else None

    def _leave(self, lane: deque[str], id_: str) -> None:
        if id_ in lane:
            lane.remove(id_)
            self.queued -= 1
