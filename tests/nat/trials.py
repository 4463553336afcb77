"""Trials of pairs, several side by side, as most of a trial is waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from tests.nat.pairs import Outcome, Pair
from tests.nat.world import End, World

GAP_SECONDS = 4.0
"""The longest silence while any road is open."""
SIDE_BY_SIDE = 5
ROAD_SECONDS = 30.0
RELAY = "relay"
"""What is left without a connection; nobody tells of it then."""

Steps = Callable[[Pair], Awaitable[None]]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """
    Two ends, the road that they should find, and what happens to it then.

    ``gap_seconds`` is how long the mail may stop.
    """

    name: str
    a: End = End()
    b: End = End()
    road: str = "direct"
    steps: Steps | None = None
    gap_seconds: float = GAP_SECONDS


class Trials:
    """
    Trials under way.

    Args:
        world: Where they take place.
        found: Gets what became of each.

    """

    def __init__(self, world: World, found: dict[str, Outcome]) -> None:
        self._world = world
        self._found = found
        self._room = asyncio.Semaphore(SIDE_BY_SIDE)
        self._tasks: dict[str, asyncio.Task[Outcome]] = {}

    def begin(self, trials: Iterable[Trial]) -> None:
        """Start these as soon as there is room."""
        for trial in trials:
            self._tasks[trial.name] = asyncio.create_task(self._run(trial))

    async def outcome(self, trial: Trial) -> Outcome:
        """What became of one."""
        return await self._tasks[trial.name]

    def note(self, name: str, outcome: Outcome) -> None:
        """Put an outcome into the table."""
        self._found[name] = outcome

    async def end(self) -> None:
        """Give up what nobody asked for."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, trial: Trial) -> Outcome:
        async with self._room, self._world.pair(trial.name, trial.a, trial.b) as pair:
            await pair.converse()
            await pair.connect()
            if trial.road != RELAY:
                await pair.road(trial.road, ROAD_SECONDS)
            if trial.steps is not None:
                pair.trouble()
                await trial.steps(pair)
            outcome = await pair.settle()
            self.note(trial.name, outcome)
            return outcome
