"""One run of a handler, and what its sender is told of it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from aiconexus.protocol.bodies import Body, ExecRequest, ExecResponse, Intent, Outcome, ReceiptStatus
from aiconexus.protocol.delivery_errors import NoHandler
from aiconexus.protocol.problems import problem_of, report
from aiconexus.sdk.callees import Callees
from aiconexus.sdk.delivery import Delivery
from aiconexus.sdk.executions import Call, CutOff, Execution, Result
from aiconexus.sdk.handlers import Function, Handler, Handlers, invoke

ERROR_CHARACTERS = 1024
HANDLER_FAILED = "handler_failed"
DONE = "done"
"""The ``status`` of a reply to an INTENT whose handler returned something else than an INTENT."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an envelope: the receipt, and the answer to a call."""

    status: ReceiptStatus = ReceiptStatus.PROCESSED
    problem: str | None = None
    reply: Body | None = None


class Runner:
    """
    Finds handlers and runs them.

    Args:
        handlers: The application's.
        callees: Where calls are looked after while they run.
        on_error: Told what handlers raise.

    """

    def __init__(self, handlers: Handlers, callees: Callees, on_error: Callable[[Exception], None]) -> None:
        self._handlers = handlers
        self._callees = callees
        self._on_error = on_error

    def find(self, delivery: Delivery) -> Handler | None:
        """Who handles an envelope."""
        return self._capability(delivery) or self._handlers.find(delivery.type)

    async def run(self, handler: Handler, delivery: Delivery) -> Result:
        """Run a handler once."""
        execution = self._callees.find(delivery)
        began = time.perf_counter()
        try:
            if execution.verdict is not None:
                return Result(error=CutOff(execution.verdict))
            result = await execution.outcome(self._start(handler, delivery, execution))
        finally:
            self._callees.close(delivery)
        if isinstance(result.error, CutOff):
            if execution.is_cancelled:
                self._callees.forget(delivery)
        elif result.failure is not None:
            self._on_error(result.failure)
        took_ms = (time.perf_counter() - began) * 1000
        return msgspec.structs.replace(result, took_ms=took_ms, chunks=execution.window.sent or None)

    def _start(self, handler: Handler, delivery: Delivery, execution: Execution) -> "asyncio.Task[Any]":
        argument: Any = delivery
        if isinstance(delivery.body, ExecRequest) and self._capability(delivery) is not None:
            argument = delivery.body.args
        arguments = (argument, Call(execution)) if handler.wants_call else (argument,)
        if not handler.streams:
            return invoke(handler.function, *arguments)
        is_wanted = isinstance(delivery.body, ExecRequest) and delivery.body.stream
        return asyncio.create_task(_in_parts(execution if is_wanted else None, handler.function, arguments))

    def _capability(self, delivery: Delivery) -> Handler | None:
        body = delivery.body
        return self._handlers.find_capability(body) if isinstance(body, ExecRequest) else None


async def _in_parts(execution: Execution | None, function: Function, arguments: tuple[Any, ...]) -> Any:
    """Send what a handler yields; a caller who did not ask for parts gets all of them together."""
    parts = function(*arguments)
    if execution is None:
        return [part async for part in parts]
    return await execution.pump(parts)


def ending_of(delivery: Delivery, result: Result) -> Ending:
    """What the sender is told after a run."""
    if isinstance(delivery.body, ExecRequest):
        return Ending(reply=response_of(result))
    error = result.error
    if error is not None:
        problem = problem_of(error.error).name if isinstance(error, CutOff) else HANDLER_FAILED
        return Ending(status=ReceiptStatus.DEAD_LETTERED, problem=problem)
    if isinstance(delivery.body, Intent) and result.value is not None:
        answer = result.value
        return Ending(reply=answer if isinstance(answer, Body) else Intent(status=DONE, result=answer))
    return Ending()


def ending_of_nobody(delivery: Delivery) -> Ending:
    """What the sender is told if there is no handler."""
    problem = report(NoHandler(delivery.type))
    reply = problem if isinstance(delivery.body, ExecRequest) else None
    return Ending(status=ReceiptStatus.DEAD_LETTERED, problem=problem.problem, reply=reply)


def response_of(result: Result) -> ExecResponse:
    """The answer to a call."""
    error, problem = result.error, None
    if error is None:
        text = None
    elif isinstance(error, CutOff):
        text, problem = str(error.error), problem_of(error.error).name
    else:
        text = f"{type(error).__name__}: {error}"
    return ExecResponse(
        status=Outcome.SUCCESS if error is None else Outcome.ERROR,
        result=result.value,
        error=None if text is None else text[:ERROR_CHARACTERS],
        problem=problem,
        chunks=result.chunks,
        execution_time_ms=result.took_ms,
    )
