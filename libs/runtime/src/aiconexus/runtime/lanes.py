"""
Keep the order of each sender while one of its envelopes waits for something.

The common case needs nothing and does not come here; see ``submit``.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lanes(Generic[Item]):
    """
    One queue and one task for each key that has work, and none for the others.

    Args:
        work: Called for one item after the other of a key. It must not raise.
        length_max: How many items of one key may wait.
        lanes_max: How many keys may have work at once.

    """

    def __init__(
        self, work: Callable[[Item], Awaitable[None]], length_max: int = 1_024, lanes_max: int = 4_096
    ) -> None:
        self._work = work
        self._length_max = length_max
        self._lanes_max = lanes_max
        self._lanes: dict[str, deque[Item]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def is_busy(self, key: str) -> bool:
        """Whether what comes now would overtake something."""
        return key in self._lanes

    def put(self, key: str, item: Item) -> bool:
        """
        Queue an item behind the others of its key.

        Returns:
            False if there is no room.

        """
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= self._lanes_max:
                return False
            self._lanes[key] = lane = deque()
            task = asyncio.get_running_loop().create_task(self._walk(key, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(lane) >= self._length_max:
            return False
        lane.append(item)
        return True

    async def settle(self) -> None:
        """Wait until no lane has work."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _walk(self, key: str, lane: deque[Item]) -> None:
        try:
            while lane:
                await self._work(lane[0])
                lane.popleft()
        finally:
            del self._lanes[key]
