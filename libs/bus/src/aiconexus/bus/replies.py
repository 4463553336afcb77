"""
The answers to one session's requests: one subscription hears them all.

The client library has the same, but awaits each with ``asyncio.wait_for``, which in Python 3.11 loses a cancellation
that comes together with the answer; whoever waits for the cancelled task then waits for ever.
"""

import asyncio
from typing import Generic, Protocol, TypeVar


class _Addressed(Protocol):
    subject: str


M = TypeVar("M", bound=_Addressed)


class Replies(Generic[M]):
    """
    Who waits for which answer.

    Args:
        inbox: A subject that is ours alone; answers arrive on the subjects below it.

    """

    def __init__(self, inbox: str) -> None:
        self.subject = f"{inbox}.*"
        self._inbox = inbox
        self._asked = 0
        self._waiting: dict[str, asyncio.Future[M]] = {}

    def expect(self) -> tuple[str, "asyncio.Future[M]"]:
        """A fresh subject, and the answer that will come there; call ``forget`` afterwards."""
        self._asked += 1
        reply = f"{self._inbox}.{self._asked}"
        self._waiting[reply] = future = asyncio.get_running_loop().create_future()
        return reply, future

    async def take(self, message: M) -> None:
        """Hand an answer to whoever waits for it; a late one is dropped."""
        future = self._waiting.get(message.subject)
        if future is not None and not future.done():
            future.set_result(message)

    def forget(self, reply: str) -> None:
        """Nobody waits there any more."""
        del self._waiting[reply]
