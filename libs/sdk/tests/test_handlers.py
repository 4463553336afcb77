"""The table of handlers, and how they are run."""

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from aiconexus.protocol.bodies import ExecRequest, Message
from aiconexus.protocol.errors import UnsupportedType
from aiconexus.protocol.limits import CAPABILITIES_MAX
from aiconexus.sdk.handlers import Handlers, Interrupted, invoke


async def ends(function: Any, argument: Any = None) -> "asyncio.Task[Any]":
    """Run a handler to its end."""
    task = invoke(function, argument)
    async with asyncio.timeout(5):
        await asyncio.wait({task})
    return task


@pytest.mark.parametrize("type_", ["MESSAGE", Message], ids=["name", "class"])
def test_handler_is_found_by_type(type_: Any) -> None:
    """A type is given by name or by class."""
    handlers = Handlers()
    function = handlers.on(type_)(print)
    found = handlers.find("MESSAGE")

    assert found is not None
    assert found.function is function is print
    assert found.interrupted is Interrupted.DEAD_LETTER


def test_handler_may_allow_a_second_run() -> None:
    """The policy is kept with the handler."""
    handlers = Handlers()
    handlers.on("MESSAGE", interrupted="rerun")(print)
    found = handlers.find("MESSAGE")

    assert found is not None
    assert found.interrupted is Interrupted.RERUN


def test_unknown_type_is_refused() -> None:
    """A slip in a name shows at once."""
    with pytest.raises(UnsupportedType):
        Handlers().on("MASSAGE")(print)


def test_unknown_policy_is_refused() -> None:
    """Likewise a slip in the policy."""
    with pytest.raises(ValueError, match="retry"):
        Handlers().on("MESSAGE", interrupted="retry")(print)


def test_capability_is_found_by_name() -> None:
    """A call finds what was registered under its capability, and nothing else."""
    handlers = Handlers()
    handlers.capability("text.stats")(print)

    assert handlers.capabilities == ("text.stats",)
    assert handlers.find_capability(ExecRequest(capability="text.stats")) is not None
    assert handlers.find_capability(ExecRequest(capability="text")) is None
    assert handlers.find_capability(ExecRequest()) is None


def test_bad_capability_is_refused() -> None:
    """A name that no card could carry is refused at once."""
    with pytest.raises(ValueError, match="capability"):
        Handlers().capability("no spaces")(print)


def test_only_what_handles_counts() -> None:
    """An agent without handlers has only come to send."""
    handlers = Handlers()
    before = handlers.is_empty
    handlers.capability("a")(print)

    assert (before, handlers.is_empty) == (True, False)


async def test_coroutine_runs_in_the_loop() -> None:
    """An async handler shares the loop's thread."""

    async def where(_: object) -> int:
        return threading.get_ident()

    assert threading.get_ident() == (await ends(where)).result()


async def test_plain_function_runs_in_a_thread() -> None:
    """A sync handler may block without stopping the agent."""

    def where(_: object) -> int:
        return threading.get_ident()

    assert threading.get_ident() != (await ends(where)).result()


async def test_hidden_coroutines_are_awaited() -> None:
    """Partials, lambdas and callable objects may stand for async functions."""

    async def add(one: int, two: int) -> int:
        return one + two

    class Adder:
        async def __call__(self, two: int) -> int:
            return await add(1, two)

    results = [(await ends(function, 2)).result() for function in (partial(add, 1), lambda two: add(1, two), Adder())]

    assert results == [3, 3, 3]


async def test_exception_stays_in_the_task() -> None:
    """Whatever a handler raises is a fact about it, not about the agent."""

    async def fail(_: object) -> None:
        raise KeyError("x")

    assert isinstance((await ends(fail)).exception(), KeyError)


def test_news_are_told_once_and_bounded() -> None:
    """A new capability is news, another function for a known one is not, and one too many is refused at once."""
    handlers = Handlers()
    news: list[int] = []
    handlers.on_new_capability = lambda: news.append(len(handlers.capabilities))
    for number in (0, *range(CAPABILITIES_MAX)):
        handlers.capability(f"c{number}")(print)

    with pytest.raises(ValueError, match="32"):
        handlers.capability("one-more")(print)
    assert list(range(1, CAPABILITIES_MAX + 1)) == news
