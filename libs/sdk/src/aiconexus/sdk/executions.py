"""The calls that run here: how long they may, what ends them early, and what their callers hear meanwhile."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import Body, ExecRequest, Intent
from aiconexus.protocol.call_bodies import Chunk, Progress
from aiconexus.protocol.delivery_errors import CallCancelled, NotAcknowledged
from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk.chunks import Digest, Window
from aiconexus.sdk.delivery import Delivery, Sent

CEILING_MAX_SECONDS = 3600.0
STALL_SECONDS = 60.0
"""A caller that takes no chunk for so long has gone away."""
PROGRESS_SECONDS = 0.2
"""More often than this nobody needs to hear of progress."""
MESSAGE_CHARACTERS = 256
PERCENT_MAX = 100

Say = Callable[[Body], Sent]
"""Sends something to the caller."""

Put = Callable[[Chunk], int]
"""Sends a chunk and keeps it until the caller has taken it; returns its size."""


class CutOff(Exception):
    """It was us who ended a handler, for this reason."""

    def __init__(self, error: AiconexusError) -> None:
        super().__init__(error)
        self.error = error


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of a handler has brought: a value, or an error."""

    value: Any = None
    error: BaseException | None = None
    chunks: int | None = None
    took_ms: float | None = None

    @property
    def failure(self) -> Exception | None:
        """What the handler raised, if it was not us who ended it."""
        return self.error if isinstance(self.error, Exception) and not isinstance(self.error, CutOff) else None


class Execution:
    """
    One call from its arrival to its end.

    Args:
        delivery: The EXEC_REQUEST or INTENT.
        say: Reaches the caller.
        put: Likewise, for chunks.

    """

    def __init__(self, delivery: Delivery, say: Say, put: Put) -> None:
        request = delivery.body if isinstance(delivery.body, ExecRequest) else ExecRequest()
        self.delivery = delivery
        self.window = Window()
        self._say = say
        self._put = put
        self._loop = asyncio.get_running_loop()
        self._verdict: asyncio.Future[AiconexusError] = self._loop.create_future()
        self._room = asyncio.Event()
        self._seconds = None if request.timeout_ms is None else request.timeout_ms / 1000
        self._ceiling = _ceiling_of(request, self._seconds, _left_of(delivery))
        self._last = self._deadline = self._checks_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._told = -math.inf
        self._word: Sent | None = None

    @property
    def verdict(self) -> AiconexusError | None:
        """Why it is over before the handler ended."""
        return self._verdict.result() if self._verdict.done() else None

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller does not want the answer any more."""
        return isinstance(self.verdict, CallCancelled)

    def cancel(self) -> None:
        """The caller does not want the answer any more."""
        self._decide(CallCancelled(self.delivery.id))

    def take(self, next_: int) -> None:
        """The caller has taken all chunks below this one."""
        if self.window.take(next_):
            self._room.set()

    async def outcome(self, task: "asyncio.Task[Any]") -> Result:
        """Wait for the end of a handler, or bring it about."""
        self._last = self._loop.time() + self._ceiling
        self._allow(self._seconds)
        try:
            await asyncio.wait({task, self._verdict}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
            return Result(error=CutOff(self._verdict.result()))
        if task.cancelled():
            return Result(error=asyncio.CancelledError("the handler was cancelled"))
        error = task.exception()
        return Result(value=task.result()) if error is None else Result(error=error)

    def progress(self, message: str | None, percent: float | None) -> None:
        """
        Be given more time, and tell the caller.

        Raises:
            ValueError: If the share is none.

        """
        if percent is not None and not 0 <= percent <= PERCENT_MAX:
            raise ValueError(f"no share of a hundred: {percent}")
        self._allow(self._seconds)
        now = self._loop.time()
        # While the last word has not left, a further one would only be in the way of the answer.
        is_heard = self._word is None or not self._word.is_on_its_way
        if is_heard and now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self._word = self._say(Progress(message=None if message is None else _line(message), percent=percent))

    async def pump(self, parts: AsyncGenerator[Any, None]) -> None:
        """Send what a handler yields, no faster than the caller takes it."""
        digest = Digest()
        async with contextlib.aclosing(parts):
            async for data in parts:
                await self._wait_room()
                self._emit(Chunk(index=self.window.sent, data=data))
                digest.add(data)
                self._allow(self._seconds)
        await self._wait_room()
        self._emit(Chunk(index=self.window.sent, last=True, digest=digest.text))

    def _emit(self, chunk: Chunk) -> None:
        self.window.send(self._put(chunk))

    async def _wait_room(self) -> None:
        while self.window.is_full:
            self._allow(max(self._seconds or 0.0, STALL_SECONDS))
            self._room.clear()
            await self._room.wait()

    def _allow(self, seconds: float | None) -> None:
        """Let it go on for so long, unless something else happens."""
        self._deadline = min(self._last, math.inf if seconds is None else self._loop.time() + seconds)
        if self._deadline < self._checks_at:
            self._check_at(self._deadline)

    def _check_at(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._checks_at = time
        self._timer = self._loop.call_at(time, self._check)

    def _check(self) -> None:
        if self._loop.time() < self._deadline < math.inf:
            self._check_at(self._deadline)
        else:
            self._decide(NotAcknowledged(self.delivery.id, self._seconds or self._ceiling))

    def _decide(self, error: AiconexusError) -> None:
        if not self._verdict.done():
            self._verdict.set_result(error)


class Call:
    """
    The call that a handler answers; a handler with room for a second argument gets it.

    Args:
        execution: Of the call.

    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    @property
    def id(self) -> str:
        """The id of the EXEC_REQUEST or INTENT."""
        return self._execution.delivery.id

    @property
    def sender(self) -> str:
        """The caller's DID."""
        return self._execution.delivery.sender

    async def progress(self, message: str | None = None, percent: float | None = None) -> None:
        """
        Tell the caller that we are at it, which gives the call more time, up to the caller's ceiling.

        It may be said as often as is convenient; the caller hears it five times a second at most, and while it cannot
        be reached the first word only.

        Raises:
            ValueError: If ``percent`` is not between 0 and 100.

        """
        self._execution.progress(message, percent)

    def __repr__(self) -> str:
        return f"Call({self.id} from {self.sender})"


def _left_of(delivery: Delivery) -> float:
    """For how long anybody may wait for the answer to a call that names no time; other handlers answer nobody."""
    if not isinstance(delivery.body, ExecRequest | Intent):
        return math.inf
    return max((delivery.envelope.ends_ms - now_ms()) / 1000, 0.0)


def _ceiling_of(request: ExecRequest, seconds: float | None, left: float) -> float:
    if request.ceiling_ms is None:
        return left if seconds is None else max(CEILING_MAX_SECONDS, seconds)
    return max(min(request.ceiling_ms / 1000, CEILING_MAX_SECONDS), seconds or 0.0)


def _line(message: str) -> str:
    return "".join(character if character.isprintable() else " " for character in message[:MESSAGE_CHARACTERS])


def _forget(task: "asyncio.Task[Any]") -> None:
    """What a handler says after it was cut off interests nobody."""
    if not task.cancelled():
        task.exception()
