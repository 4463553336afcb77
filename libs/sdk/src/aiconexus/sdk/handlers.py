"""Which function of the application answers which envelope, and how it is called."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from aiconexus.protocol.bodies import Body, ExecRequest
from aiconexus.protocol.errors import UnsupportedType
from aiconexus.protocol.limits import CAPABILITIES_MAX
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.vocabulary import BODIES

Function = Callable[..., Any]
AnyFunction = TypeVar("AnyFunction", bound=Function)


class Interrupted(StrEnum):
    """What becomes of an envelope whose handler was cut off by the end of the process."""

    DEAD_LETTER = "dead_letter"
    RERUN = "rerun"


@dataclass(frozen=True)
class Handler:
    """One function and its policies; without ``retry``, what it fails at is a dead letter at once."""

    function: Function
    interrupted: Interrupted = Interrupted.DEAD_LETTER
    retry: RetryPolicy | None = None

    @cached_property
    def streams(self) -> bool:
        """Whether it answers in parts: an asynchronous generator."""
        return _is(inspect.isasyncgenfunction, self.function)

    @cached_property
    def wants_call(self) -> bool:
        """Whether it has room for a second argument, the ``Call``."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return False
        needed = [each for each in parameters if each.kind in _POSITIONAL and each.default is each.empty]
        return len(needed) > 1


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Handlers:
    """The table of an agent: by type, and for EXEC_REQUEST by capability first."""

    def __init__(self) -> None:
        self._types: dict[str, Handler] = {}
        self._capabilities: dict[str, Handler] = {}
        self.on_new_capability: Callable[[], None] = lambda: None
        """Told of each capability that was not there before."""

    @property
    def is_empty(self) -> bool:
        """Whether the application has only come to send."""
        return not self._types and not self._capabilities

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What can be called, in the order of definition."""
        return tuple(self._capabilities)

    def on(
        self,
        type_: str | type[Body],
        *,
        interrupted: str = Interrupted.DEAD_LETTER,
        retry: RetryPolicy | None = None,
    ) -> Callable[[AnyFunction], AnyFunction]:
        """
        Have a function called with a ``Delivery`` for each envelope of a type; a plain one runs in a thread.

        One that takes a second argument gets the ``Call``, too. What a handler of INTENT returns is the reply.

        Args:
            type_: A body class, or its name.
            interrupted: ``rerun`` if the handler may run again after a crash; otherwise the sender is told.
            retry: How the retry service brings an envelope again that the handler failed at; without it the sender is
                told at once.

        Raises:
            UnsupportedType: If the protocol does not know the type.

        """

        def register(function: AnyFunction) -> AnyFunction:
            self.add(type_, Handler(function, Interrupted(interrupted), retry))
            return function

        return register

    def capability(
        self,
        name: str,
        *,
        interrupted: str = Interrupted.DEAD_LETTER,
        retry: RetryPolicy | None = None,
    ) -> Callable[[AnyFunction], AnyFunction]:
        """
        Have a function answer calls: it gets the arguments as a dict, and what it returns is the result.

        One that takes a second argument gets the ``Call``, too; an asynchronous generator answers in parts. Policies
        are those of ``on``.
        """

        def register(function: AnyFunction) -> AnyFunction:
            self.add_capability(name, Handler(function, Interrupted(interrupted), retry))
            return function

        return register

    def add(self, type_: str | type[Body], handler: Handler) -> None:
        """
        Set the handler of a type; a second one replaces the first.

        Raises:
            UnsupportedType: If the protocol does not know it.

        """
        name = type_ if isinstance(type_, str) else type_.TYPE
        if name not in BODIES:
            raise UnsupportedType(name)
        self._types[name] = handler

    def add_capability(self, name: str, handler: Handler) -> None:
        """
        Set what answers calls of a capability.

        Raises:
            ValueError: If the name is none, or the platform would not list so many.

        """
        msgspec.convert({"capability": name}, ExecRequest)
        is_new = name not in self._capabilities
        if is_new and len(self._capabilities) >= CAPABILITIES_MAX:
            raise ValueError(f"an agent has {CAPABILITIES_MAX} capabilities at most")
        self._capabilities[name] = handler
        if is_new:
            self.on_new_capability()

    def find(self, type_: str) -> Handler | None:
        """The handler of a type."""
        return self._types.get(type_)

    def find_capability(self, request: ExecRequest) -> Handler | None:
        """What answers this call, apart from a handler of EXEC_REQUEST as a whole."""
        return self._capabilities.get(request.capability) if request.capability else None


def invoke(function: Function, *arguments: Any) -> "asyncio.Task[Any]":
    """
    Start a handler; a plain function runs in a thread, so that it may block.

    The task is to be waited for, not awaited: whatever the application raises stays inside it.
    """
    if _is(inspect.iscoroutinefunction, function):
        return asyncio.create_task(_awaited(function, arguments))
    return asyncio.create_task(_threaded(function, arguments))


def _is(kind: Callable[[Any], bool], function: Function) -> bool:
    """Whether a function, or an object that can be called like one, is of a kind."""
    return kind(inspect.unwrap(function)) or kind(getattr(function, "__call__", None))  # noqa: B004 - looked into, not asked whether


async def _awaited(function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> Any:
    return await function(*arguments)


async def _threaded(function: Function, arguments: tuple[Any, ...]) -> Any:
    result = await asyncio.to_thread(function, *arguments)
    # A lambda or a partial may hide a coroutine function.
    return await result if inspect.isawaitable(result) else result
