"""
The sockets of a connection: none outlives it, at whatever moment it is closed.

What the stack does by itself falls short of that. Where its gathering is cut off, it forgets the sockets that it has
bound but not listed yet, and the tasks that ask STUN and TURN servers, which go on and open more. It waits for many
seconds until a TURN server that is gone releases what it holds. And where it is closed while it connects, it goes on to
ask for consent for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

import aioice.ice
from aioice.turn import TurnTransport

CLOSED = "the connection is closed"
Value = TypeVar("Value")

_GATHERING: ContextVar["Sockets | None"] = ContextVar("gathering", default=None)


class Sockets:
    """
    Those of one ICE connection.

    Args:
        connection: Whose gathering is replaced by one that can be cut off.

    """

    def __init__(self, connection: aioice.ice.Connection) -> None:
        self.is_over = False
        self._connection = connection
        self._gather: Callable[..., Coroutine[Any, Any, list[aioice.Candidate]]] = connection.get_component_candidates
        self._gathering: set[asyncio.Task[list[aioice.Candidate]]] = set()
        self._asking: set[asyncio.Task[Any]] = set()
        connection.get_component_candidates = self._gather_whole  # type: ignore[method-assign]

    async def stop_gathering(self) -> None:
        """Open no more, and wait until what is open is listed, so that closing the connection finds it."""
        self.is_over = True
        for task in self._asking:
            task.cancel()
        if self._gathering:
            await asyncio.wait(self._gathering)

    def abort(self) -> None:
        """Let go of what is open, without a word to anybody."""
        for protocol in self._connection._protocols:  # noqa: SLF001 - the stack does not tell what it has open
            transport: Any = protocol.transport
            if isinstance(transport, TurnTransport):
                _abort_relayed(transport)
            else:
                transport.abort()

    @property
    def consent(self) -> "asyncio.Task[None] | None":
        """The task that asks the other side for consent."""
        return self._connection._query_consent_task  # noqa: SLF001

    def ask(self, task: "asyncio.Task[Any]") -> None:
        """Note a task that asks a server."""
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(look_at)

    async def _gather_whole(self, *args: Any, **fields: Any) -> "list[aioice.Candidate]":
        """Gather in a task of its own: whoever waits for it may be cut off, but not the task."""
        if self.is_over:
            return []
        context = copy_context()
        context.run(_GATHERING.set, self)
        task = asyncio.create_task(self._gather(*args, **fields), context=context)
        self._gathering.add(task)
        task.add_done_callback(self._gathering.discard)
        task.add_done_callback(look_at)
        return await asyncio.shield(task)


def look_at(task: "asyncio.Future[Any]") -> None:
    """Look at what a task of the stack died of; the connection is told by its state."""
    if not task.cancelled():
        task.exception()


def _abort_relayed(transport: Any) -> None:
    """Give an allocation up, which the server keeps until it expires."""
    transport._TurnTransport__inner_protocol.transport.abort()  # noqa: SLF001
    for task in (transport._TurnTransport__close_task, *transport._TurnTransport__send_tasks):  # noqa: SLF001
        if task is not None:
            task.cancel()


def _noted(ask: Callable[..., Awaitable[Value]]) -> Callable[..., Coroutine[Any, Any, Value]]:
    """What asks a server, so that it can be cut off; that counts as a server which does not answer."""

    async def noted(*args: Any, **fields: Any) -> Value:
        sockets, task = _GATHERING.get(), asyncio.current_task()
        if sockets is None or task is None:
            return await ask(*args, **fields)
        sockets.ask(task)
        if sockets.is_over:
            raise ConnectionError(CLOSED)
        try:
            return await ask(*args, **fields)
        except asyncio.CancelledError as error:
            # The stack collects what came of all servers, and stops at the first that was cancelled.
            if sockets.is_over:
                raise ConnectionError(CLOSED) from error
            raise

    return noted


# Connections of others go the way that they went before.
aioice.ice.server_reflexive_candidate = _noted(aioice.ice.server_reflexive_candidate)
aioice.ice.relayed_candidate = _noted(aioice.ice.relayed_candidate)
