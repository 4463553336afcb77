"""Requests of ours that wait for an answer from the one who was asked, and from nobody else."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from aiconexus.protocol.bodies import Error, ExecResponse, Outcome, ReceiptStatus
from aiconexus.protocol.call_bodies import Chunk, Progress
from aiconexus.protocol.delivery_errors import HandlerFailed, NotAcknowledged
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.problems import PROBLEMS, report
from aiconexus.sdk.delivery import Delivery, Notice, problem_in

Heard = Callable[[Progress | Chunk | None], None]
"""Told what the callee says before it answers; None stands for the receipt that it has the request."""


class _Waiting(msgspec.Struct, frozen=True):
    callee: str
    answer: "asyncio.Future[Delivery]"
    heard: Heard | None


class Calls:
    """The requests that are open; several may wait for one answer."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Waiting]] = {}

    def expect(self, id_: str, callee: str, heard: Heard | None = None) -> "asyncio.Future[Delivery]":
        """Wait for what ``callee`` says in reply to the envelope ``id_``."""
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id_, []).append(_Waiting(callee, future, heard))
        return future

    def give_up(self, id_: str, answer: "asyncio.Future[Delivery]") -> None:
        """Stop waiting."""
        others = [waiting for waiting in self._waiting.pop(id_, ()) if waiting.answer is not answer]
        if others:
            self._waiting[id_] = others
        if answer.done() and not answer.cancelled():
            # Whoever gave up does not hear of it.
            answer.exception()

    def take(self, delivery: Delivery) -> bool:
        """
        Offer an envelope that came.

        Returns:
            Whether it belongs to a request that is open, and comes from the one who was asked.

        """
        found = [each for each in self._of(delivery.envelope.in_reply_to) if each.callee == delivery.sender]
        for waiting in found:
            _tell(waiting, delivery)
        return bool(found)

    def note(self, notice: Notice) -> None:
        """Hear how far a request has come; if it died, no answer will come."""
        if notice.status in (ReceiptStatus.DEAD_LETTERED, ReceiptStatus.EXPIRED):
            self.fail(notice.id, problem_in(notice))
        elif notice.status is ReceiptStatus.DELIVERED:
            for waiting in self._of(notice.id):
                if waiting.heard is not None:
                    waiting.heard(None)

    def fail(self, id_: str, error: Exception) -> None:
        """Hear that a request could not be stored."""
        for waiting in self._of(id_):
            if not waiting.answer.done():
                waiting.answer.set_exception(error)

    def close(self) -> None:
        """Nothing will be answered any more."""
        for id_ in self._waiting:
            self.fail(id_, NotAcknowledged(id_, 0.0))

    def _of(self, id_: str | None) -> list[_Waiting]:
        return self._waiting.get(id_ or "", [])


def _tell(waiting: _Waiting, delivery: Delivery) -> None:
    body = delivery.body
    if isinstance(body, Progress | Chunk):
        if waiting.heard is not None:
            waiting.heard(body)
    elif not waiting.answer.done():
        if isinstance(body, Error):
            waiting.answer.set_exception(RemoteProblem(delivery.sender, body))
        else:
            waiting.answer.set_result(delivery)


def result_of(delivery: Delivery) -> Any:
    """
    What a call returned.

    Raises:
        RemoteProblem: If it failed.

    """
    body = delivery.body
    if isinstance(body, ExecResponse) and body.status is Outcome.ERROR:
        raise RemoteProblem(delivery.sender, _error_in(body, delivery.envelope.in_reply_to or ""))
    return body.result if isinstance(body, ExecResponse) else delivery.content


def _error_in(body: ExecResponse, id_: str) -> Error:
    """The problem report that the error of an answer stands for."""
    failed = report(HandlerFailed(id_))
    problem = next((row for row in PROBLEMS.values() if row.name == body.problem), None)
    return Error(
        code=failed.code if problem is None else problem.code,
        problem=body.problem or failed.problem,
        message=body.error or failed.message,
        retryable=problem is not None and problem.retryable,
    )
