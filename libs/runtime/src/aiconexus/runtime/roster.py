"""Records of agents, read from a bucket and believed for a few seconds."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from aiconexus.bus.buckets import Bucket
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.records import Record

R = TypeVar("R", bound=Record)


class Roster(Generic[R]):
    """
    What a bucket says of agents, bounded in age and number.

    A record in its second half of life is read again while it still counts, so that an agent in steady use never waits
    for the bucket. That an agent is unknown is never remembered: it may register the next moment.

    Args:
        bucket: Token -> msgpack.
        record: What its values are.
        fresh_seconds: How long a record counts after it was asked for.
        entries_max: The one that was not used longest is forgotten first.
        monotonic: A clock in seconds.

    """

    def __init__(
        self, bucket: Bucket, record: type[R], fresh_seconds: float, entries_max: int, monotonic: Callable[[], float]
    ) -> None:
        self._bucket = bucket
        self._decode = msgspec.msgpack.Decoder(record).decode
        self._fresh_seconds = fresh_seconds
        self._entries_max = entries_max
        self._monotonic = monotonic
        self._entries: OrderedDict[str, tuple[R, float]] = OrderedDict()
        self._reads: dict[str, asyncio.Task[R | None]] = {}
        self._overtaken: set[str] = set()

    def known(self, token: str, now: float) -> R | None:
        """
        The record, if it is at hand.

        Returns:
            None if ``look_up`` has to be asked.

        """
        entry = self._entries.get(token)
        if entry is None:
            return None
        record, read_at = entry
        age = now - read_at
        if age > self._fresh_seconds:
            return None
        if age > self._fresh_seconds / 2 and token not in self._reads:
            self._read(token)
        return record

    async def look_up(self, token: str) -> R | None:
        """
        The record, from the bucket if need be.

        Returns:
            None if there is none.

        Raises:
            BusError: If the bucket cannot be read.

        """
        record = self.known(token, self._monotonic())
        if record is not None:
            return record
        return await asyncio.shield(self._reads.get(token) or self._read(token))

    def forget(self, token: str) -> None:
        """The record has changed: what was read before, and what is being read, counts no longer."""
        self._entries.pop(token, None)
        if token in self._reads:
            self._overtaken.add(token)

    def _read(self, token: str) -> "asyncio.Task[R | None]":
        task = asyncio.get_running_loop().create_task(self._fetch(token))
        self._reads[token] = task
        task.add_done_callback(lambda done: self._finish(token, done))
        return task

    def _finish(self, token: str, task: "asyncio.Task[R | None]") -> None:
        self._reads.pop(token, None)
        self._overtaken.discard(token)
        if not task.cancelled() and isinstance(task.exception(), BusError):
            # Whoever waited has got it; a record that nobody could renew just ages.
            return

    async def _fetch(self, token: str) -> R | None:
        asked_at = self._monotonic()
        entry = await self._bucket.get(token)
        if entry is None:
            self._entries.pop(token, None)
            return None
        record: R = self._decode(entry.value)
        if token in self._overtaken:
            return record
        self._entries[token] = (record, asked_at)
        self._entries.move_to_end(token)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
        return record
