"""Requests of ours that wait for an answer from the one who was asked, and from nobody else."""

import asyncio

from aiconexus.protocol.bodies import Error, ExecResponse, Outcome, ReceiptStatus
from aiconexus.protocol.errors import HandlerFailed, NotAcknowledged, RemoteProblem
from aiconexus.protocol.problems import report
from aiconexus.sdk.delivery import Delivery, Notice, problem_in


class Calls:
    """The requests that are open."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, asyncio.Future[Delivery]]] = {}

    def expect(self, id_: str, callee: str) -> "asyncio.Future[Delivery]":
        """Wait for what ``callee`` says in reply to the envelope ``id_``."""
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = (callee, future)
        return future

    def give_up(self, id_: str) -> None:
        """Stop waiting."""
        self._waiting.pop(id_, None)

    def take(self, delivery: Delivery) -> bool:
        """
        Offer an envelope that came.

        Returns:
            Whether it is an answer that somebody waits for, from the one who was asked.

        """
        id_ = delivery.envelope.in_reply_to
        callee, future = self._waiting.get(id_ or "", ("", None))
        if future is None or callee != delivery.sender:
            return False
        if not future.done():
            if isinstance(delivery.body, Error):
                future.set_exception(RemoteProblem(delivery.sender, delivery.body))
            else:
                future.set_result(delivery)
        return True

    def note(self, notice: Notice) -> None:
        """Hear that a request died: no answer will come."""
        _, future = self._waiting.get(notice.id, ("", None))
        dead = notice.status in (ReceiptStatus.DEAD_LETTERED, ReceiptStatus.EXPIRED)
        if dead and future is not None and not future.done():
            future.set_exception(problem_in(notice))

    def fail(self, id_: str, error: Exception) -> None:
        """Hear that a request could not be stored."""
        _, future = self._waiting.get(id_, ("", None))
        if future is not None and not future.done():
            future.set_exception(error)

    def close(self) -> None:
        """Nothing will be answered any more."""
        for id_, (_, future) in self._waiting.items():
            if not future.done():
                future.set_exception(NotAcknowledged(id_, 0.0))


def result_of(delivery: Delivery) -> object:
    """
    What a call returned.

    Raises:
        RemoteProblem: If it failed.

    """
    body = delivery.body
    if isinstance(body, ExecResponse) and body.status is Outcome.ERROR:
        error = report(HandlerFailed(delivery.envelope.in_reply_to or ""))
        raise RemoteProblem(
            delivery.sender,
            Error(code=error.code, problem=error.problem, message=body.error or error.message),
        )
    return body.result if isinstance(body, ExecResponse) else delivery.content
