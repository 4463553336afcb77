"""What an agent tells its application: its state, receipts, and errors that nobody awaits."""

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk.delivery import AgentState, Notice

if TYPE_CHECKING:
    from aiconexus.sdk.direct.peer import Peer

StateCallback = TypeVar("StateCallback", bound=Callable[[AgentState], Any])
ReceiptCallback = TypeVar("ReceiptCallback", bound=Callable[[Notice], Any])
ErrorCallback = TypeVar("ErrorCallback", bound=Callable[[Exception], Any])
PeerCallback = TypeVar("PeerCallback", bound=Callable[["Peer"], Any])
IncidentCallback = TypeVar("IncidentCallback", bound=Callable[[Incident], Any])


class Notices:
    """The application's callbacks; they run in the event loop, one after the other, and must not block."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[[Any], Any]]] = {
            kind: [] for kind in ("state", "receipt", "error", "peer", "incident")
        }
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

    def on_peer(self, callback: PeerCallback) -> PeerCallback:
        """Have a callback told of each agent that is directly connected for the first time."""
        self._callbacks["peer"].append(callback)
        return callback

    def on_incident(self, callback: IncidentCallback) -> IncidentCallback:
        """Have a callback told of what happens on the direct path: changes of road, and attempts to deceive us."""
        self._callbacks["incident"].append(callback)
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

    def peer(self, peer: "Peer") -> None:
        """Tell of a peer that is connected."""
        self._tell("peer", peer)

    def incident(self, incident: Incident) -> None:
        """Tell of something that was written down."""
        self._tell("incident", incident)

    def tell_one(self, callback: Callable[[Any], Any], fact: Any) -> None:
        """Call somebody else's callback as if it were one of ours."""
        asyncio.get_running_loop().call_soon(self._call, callback, fact)

    async def flush(self) -> None:
        """Wait for callbacks that are coroutines."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _tell(self, kind: str, fact: Any) -> None:
        # What a callback raises goes to the loop's exception handler: it must not stop the agent.
        for callback in self._callbacks[kind]:
            self.tell_one(callback, fact)

    def _call(self, callback: Callable[[Any], Any], fact: Any) -> None:
        result = callback(fact)
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(result)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
