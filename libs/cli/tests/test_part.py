import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from aiconexus.cli.child import Child
from aiconexus.cli.failure import Failure
from aiconexus.cli.part import Part

HELLO = "print('hello', flush=True); import time; time.sleep(60)"


class Lines:
    """What processes write, to be waited for."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._news = asyncio.Event()

    def put(self, _: str, line: str) -> None:
        self.seen.append(line)
        self._news.set()

    async def wait(self, text: str, times: int = 1) -> None:
        """Until a line with this text came so often."""
        async with asyncio.timeout(10):
            while sum(text in line for line in self.seen) < times:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def lines() -> Lines:
    """The lines of one test."""
    return Lines()


async def said_hello(child: Child) -> bool:
    """Whether the process works."""
    return "hello" in child.tail


@pytest.fixture
async def start(lines: Lines) -> AsyncIterator[Callable[[str], Awaitable[Part]]]:
    """Start a Python program as a part; all are stopped at the end."""
    parts: list[Part] = []

    async def start(program: str) -> Part:
        part = Part(
            "x", lambda: Child("x", [sys.executable, "-c", program], os.environ, lines.put), said_hello, lines.put
        )
        parts.append(part)
        await part.start()
        return part

    yield start
    for part in parts:
        await part.stop()


async def test_a_part_is_ready_when_it_works(start: Callable[[str], Awaitable[Part]], lines: Lines) -> None:
    """Ready means that the probe says yes, and the lines were passed on."""
    part = await start(HELLO)
    await part.ready(10)

    assert lines.seen == ["hello"]
    assert part.pid is not None


async def test_a_crashed_part_is_started_again(start: Callable[[str], Awaitable[Part]], lines: Lines) -> None:
    """Whoever kills the process from outside finds another one soon."""
    part = await start(HELLO)
    await part.ready(10)
    first = part.pid or 0
    os.kill(first, signal.SIGKILL)
    await lines.wait("hello", times=2)

    assert "ended with status -9; started again in 0.2 s" in lines.seen
    assert part.pid not in (None, first)


async def test_a_killed_part_stays_down_until_it_is_started(
    start: Callable[[str], Awaitable[Part]], lines: Lines
) -> None:
    """`kill` is a crash that nobody repairs before we say so."""
    part = await start(HELLO)
    await part.ready(10)
    await part.kill()
    gone = part.pid
    await part.start()
    await part.ready(10)

    assert (None, ["hello", "hello"]) == (gone, lines.seen)


async def test_a_part_that_ends_early_is_a_failure_with_its_last_words(
    start: Callable[[str], Awaitable[Part]],
) -> None:
    """Who cannot start says why, in what was written last."""
    part = await start("print('no room'); raise SystemExit(1)")

    with pytest.raises(Failure, match=r"(?s)x ended before it was ready:.*no room"):
        await part.ready(10)


async def test_a_part_that_never_works_is_a_failure(start: Callable[[str], Awaitable[Part]]) -> None:
    """Patience has an end."""
    part = await start("import time; time.sleep(60)")

    with pytest.raises(Failure, match=r"not ready after 0\.2 s"):
        await part.ready(0.2)


async def test_unusable_settings_are_not_tried_again(start: Callable[[str], Awaitable[Part]], lines: Lines) -> None:
    """A process that says so would only say it again."""
    await start("raise SystemExit(2)")
    await lines.wait("its settings are not usable")

    assert lines.seen == ["ended: its settings are not usable"]


async def test_a_process_that_does_not_listen_is_ended(lines: Lines) -> None:
    """Stopping takes no longer than the patience, whatever the process does with SIGTERM."""
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    child = Child("x", [sys.executable, "-c", program], os.environ, lines.put)
    await child.start()
    await lines.wait("deaf")
    await child.stop(patience_seconds=0.1)

    assert child.pid is None


async def test_a_line_without_end_does_not_stop_the_others(lines: Lines) -> None:
    """A process may write whatever it likes; what is too long to show is dropped."""
    program = "print('x' * 1_000_000); print('next')"
    child = Child("x", [sys.executable, "-c", program], os.environ, lines.put)
    await child.start()
    status = await child.wait()

    assert (0, "next") == (status, lines.seen[-1])
