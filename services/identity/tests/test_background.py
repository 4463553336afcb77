import asyncio

from aiconexus.identity.background import Background
from aiconexus.protocol.errors import NoResponders
from aiconexus.runtime.testing import Lines


async def test_what_the_bus_refuses_is_said() -> None:
    """Work that fails for the bus's sake leaves a line and disturbs nobody."""
    lines = Lines()
    background = Background(lines.log)

    async def work() -> None:
        raise NoResponders("subject")

    background.spawn(work())
    await background.close()

    assert [{"event": "identity.work_postponed", "level": "warning", "reason": "nobody serves subject"}] == lines.all


async def test_there_is_only_so_much_work() -> None:
    """What comes on top is dropped, and said."""
    lines, done, may_go = Lines(), list[int](), asyncio.Event()
    background = Background(lines.log, tasks_max=2)

    async def work(number: int) -> None:
        await may_go.wait()
        done.append(number)

    for number in range(3):
        background.spawn(work(number))
    may_go.set()
    await background.close()

    assert [0, 1] == done
    assert 1 == len(lines.of("identity.work_dropped"))
