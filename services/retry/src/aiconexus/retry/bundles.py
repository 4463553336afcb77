"""Ask one question for many: what is wanted while a question is under way goes into the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from aiconexus.protocol.errors import AiconexusError

In = TypeVar("In")
Out = TypeVar("Out")


class Bundles(Generic[In, Out]):
    """
    Questions to another service, put together.

    Args:
        ask: Gets up to ``items_max`` of what is wanted and returns as many answers; what it raises, all of them raise.
        items_max: Of one question.
        size_of: What counts towards ``size_max``.
        size_max: Of one question; a single one always fits.
        lanes: Questions under way at the same time.

    """

    def __init__(
        self,
        ask: Callable[[Sequence[In]], Awaitable[Sequence[Out]]],
        *,
        items_max: int,
        size_of: Callable[[In], int] = lambda _: 0,
        size_max: int = 0,
        lanes: int = 4,
    ) -> None:
        self._ask = ask
        self._items_max = items_max
        self._size_of = size_of
        self._size_max = size_max
        self._lanes = lanes
        self._waiting: deque[tuple[In, asyncio.Future[Out]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0

    async def add(self, item: In) -> Out:
        """Have something asked, and await its answer."""
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._busy < self._lanes:
            self._busy += 1
            task = asyncio.get_running_loop().create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self) -> None:
        try:
            # A turn of the loop lets those come along who want something at the same moment.
            await asyncio.sleep(0)
            await self._empty()
        finally:
            # At once, and not when the task is seen to have ended: what comes in between needs a lane.
            self._busy -= 1

    async def _empty(self) -> None:
        while bundle := self._next():
            futures = [future for _, future in bundle if not future.done()]
            try:
                answers = await self._ask([item for item, _ in bundle])
            except AiconexusError as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), answer in zip(bundle, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
            finally:
                # Nobody shall wait for an answer that will never come.
                for future in futures:
                    future.cancel()

    def _next(self) -> list[tuple[In, "asyncio.Future[Out]"]]:
        bundle: list[tuple[In, asyncio.Future[Out]]] = []
        size = 0
        while self._waiting and len(bundle) < self._items_max:
            size += self._size_of(self._waiting[0][0])
            if bundle and size > self._size_max > 0:
                break
            bundle.append(self._waiting.popleft())
        return bundle
