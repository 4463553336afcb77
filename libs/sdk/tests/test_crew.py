"""Background work that is owned."""

import asyncio

from aiconexus.sdk.crew import Crew


async def test_wait_lasts_until_nothing_runs() -> None:
    """Work that starts more work is waited for as a whole."""
    done: list[str] = []
    crew = Crew(on_crash=lambda _: None)

    async def second() -> None:
        done.append("second")

    async def first() -> None:
        crew.start(second(), "second")
        done.append("first")

    crew.start(first(), "first")
    await crew.wait()

    assert done == ["first", "second"]


async def test_crash_is_told() -> None:
    """What a task raises is not lost."""
    crashes: list[BaseException] = []
    crew = Crew(on_crash=crashes.append)

    async def crash() -> None:
        raise KeyError("x")

    crew.start(crash(), "crash")
    await crew.wait()
    await asyncio.sleep(0)

    assert [KeyError] == [type(error) for error in crashes]


async def test_close_cuts_off() -> None:
    """Closing ends what would never end, and calls that no crash."""
    crashes: list[BaseException] = []
    crew = Crew(on_crash=crashes.append)

    async def hang() -> None:
        await asyncio.Event().wait()

    crew.start(hang(), "hang")
    async with asyncio.timeout(1):
        await crew.close()

    assert crashes == []


async def test_close_lets_what_has_just_ended_leave() -> None:
    """A task that ended in the same turn of the loop does not keep the crew from closing."""
    crew = Crew(on_crash=lambda _: None)

    async def nothing() -> None:
        return

    crew.start(nothing(), "nothing")
    closing = asyncio.create_task(crew.close())

    await closing
