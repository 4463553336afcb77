"""Work that somebody started and nobody awaits: bounded, counted out at the end, and never silent about the bus."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiconexus.protocol.errors import BusError
from aiconexus.runtime.logs import Log

TASKS_MAX = 10_000


class Background:
    """
    The tasks of one process.

    Args:
        log: Says what the bus did not let us do; the next sweep makes up for it.
        tasks_max: More are dropped.

    """

    def __init__(self, log: Log, tasks_max: int = TASKS_MAX) -> None:
        self._log = log
        self._tasks_max = tasks_max
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start something, unless there is too much of it already."""
        if len(self._tasks) >= self._tasks_max:
            work.close()
            self._log.warning("identity.work_dropped", tasks=len(self._tasks))
            return
        task = asyncio.get_running_loop().create_task(self._attempt(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish what was started."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _attempt(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except BusError as error:
            self._log.warning("identity.work_postponed", reason=str(error))
