"""Background work that somebody owns: it is waited for, cut off together, and never dies unnoticed."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

CANCEL_AGAIN_SECONDS = 0.1


async def cut_off(tasks: "Collection[asyncio.Future[Any]]") -> None:
    """
    Cancel tasks and wait until they have ended.

    Once is not enough: in Python 3.11 ``asyncio.wait_for``, which others use, loses a cancellation that comes together
    with its result.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


class Crew:
    """
    Tasks of one owner.

    Args:
        on_crash: Told of what a task raised; that is a defect, or a disk that is full.

    """

    def __init__(self, on_crash: Callable[[BaseException], None]) -> None:
        self._on_crash = on_crash
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Begin something and hold on to it until it ends; whoever began it may cut it off."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    async def wait(self) -> None:
        """Wait until nothing runs."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def close(self) -> None:
        """Cut everything off."""
        while self._tasks:
            await cut_off(self._tasks)
            # What has ended leaves the crew with the next turn of the loop, and not without one.
            await asyncio.sleep(0)

    def report(self, error: BaseException) -> None:
        """Tell of a defect that somebody else has met."""
        self._on_crash(error)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_crash(error)
