"""
What services still owe an answer to.

All answers arrive on one subscription, below one inbox of this process; a table knows who waits for which. Time-outs
are equal for all, so the oldest request is always the first to be given up.
"""

from collections.abc import Callable
from typing import Protocol

from aiconexus.bus.session import Incoming, Session, Subscription
from aiconexus.protocol.errors import AiconexusError, BusUnavailable, NoResponders, RequestTimedOut

NO_RESPONDERS = "503"


class Question(Protocol):
    """A request that waits."""

    subject: str

    def answer(self, data: bytes) -> None:
        """Hand over the service's answer."""

    def fail(self, error: AiconexusError) -> None:
        """Say why there is none."""


class Replies:
    """
    Requests that wait for their answers.

    Args:
        session: The bus.
        timeout_seconds: How long a service may take.
        clock: Seconds; only goes forward.

    """

    def __init__(self, session: Session, timeout_seconds: float, clock: Callable[[], float]) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._inbox = session.new_inbox()
        self._count = 0
        self._waiting: dict[str, tuple[Question, float]] = {}
        self._subscription: Subscription | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def open(self) -> None:
        """Listen for answers."""
        self._subscription = await self._session.subscribe(f"{self._inbox}.*", self._on_reply)

    async def close(self) -> None:
        """Listen no longer."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def ask(self, question: Question, data: bytes) -> None:
        """
        Send a request; its answer, or the reason why there is none, goes to the question.

        Raises:
            BusUnavailable: If it could not be sent.

        """
        self._count += 1
        name = str(self._count)
        self._waiting[name] = (question, self._clock() + self._timeout_seconds)
        try:
            await self._session.publish(question.subject, data, reply=f"{self._inbox}.{name}")
        except BusUnavailable:
            self._waiting.pop(name, None)
            raise

    def expire(self) -> None:
        """Give up what has waited too long."""
        now = self._clock()
        while self._waiting:
            name = next(iter(self._waiting))
            question, deadline = self._waiting[name]
            if deadline > now:
                return
            del self._waiting[name]
            question.fail(RequestTimedOut(question.subject, self._timeout_seconds))

    async def _on_reply(self, incoming: Incoming) -> None:
        waiting = self._waiting.pop(incoming.subject.rpartition(".")[2], None)
        if waiting is None:
            return
        question, _ = waiting
        if (incoming.headers or {}).get("Status") == NO_RESPONDERS:
            question.fail(NoResponders(question.subject))
        else:
            question.answer(incoming.data)
