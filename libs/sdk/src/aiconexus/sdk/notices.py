"""What an agent tells its application: its state, receipts, and errors that nobody awaits."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from aiconexus.sdk.delivery import AgentState, Notice

StateCallback = TypeVar("StateCallback", bound=Callable[[AgentState], Any])
ReceiptCallback = TypeVar("ReceiptCallback", bound=Callable[[Notice], Any])
ErrorCallback = TypeVar("ErrorCallback", bound=Callable[[Exception], Any])


class Notices:
    """The application's callbacks; they run in the event loop, one after the other, and must not block."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[[Any], Any]]] = {"state": [], "receipt": [], "error": []}
        self._tasks: set[asyncio.Future[Any]] = set()

    def on_state(self, callback: StateCallback) -> StateCallback:
        """Have a callback told of every change of state."""
        self._callbacks["state"].append(callback)
        return callback

    def on_receipt(self, callback: ReceiptCallback) -> ReceiptCallback:
        """Have a callback told how far envelopes of ours have come."""
        self._callbacks["receipt"].append(callback)
        return callback

    def on_error(self, callback: ErrorCallback) -> ErrorCallback:
        """Have a callback told of errors that nobody awaits: failed attempts to connect, poison, failed handlers."""
        self._callbacks["error"].append(callback)
        return callback

    def state(self, state: AgentState) -> None:
        """Tell where the agent stands."""
        self._tell("state", state)

    def receipt(self, notice: Notice) -> None:
        """Tell how far an envelope has come."""
        self._tell("receipt", notice)

    def error(self, error: Exception) -> None:
        """Tell what went wrong."""
        self._tell("error", error)

    async def flush(self) -> None:
        """Wait for callbacks that are coroutines."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _tell(self, kind: str, fact: Any) -> None:
        # What a callback raises goes to the loop's exception handler: it must not stop the agent.
        for callback in self._callbacks[kind]:
            asyncio.get_running_loop().call_soon(self._call, callback, fact)

    def _call(self, callback: Callable[[Any], Any], fact: Any) -> None:
        result = callback(fact)
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(result)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
