"""Two agents that write to each other through whatever is between them, and what became of it."""

import asyncio
import itertools
import time
from collections.abc import Sequence

import msgspec
from tests.integration.checker import Event, Line, Verdict, judge
from tests.nat.handle import Handle
from tests.nat.words import Connected

PER_SECOND = 10.0
WARM_UP_SECONDS = 1.5
COOL_DOWN_SECONDS = 1.5


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of the mail of a pair.

    ``gap_seconds`` is the longest silence at either end while both were sending, ``roads`` what the first agent used,
    each with the seconds since the trouble began.
    """

    verdict: Verdict
    gap_seconds: float
    roads: tuple[tuple[float, str], ...]
    open_seconds: float = 0.0

    @property
    def road(self) -> str:
        """The one that was used last."""
        return self.roads[-1][1] if self.roads else "relay"

    @property
    def shown(self) -> dict[str, str]:
        """For the table."""
        verdict = self.verdict
        return {
            "sent": str(verdict.attempted),
            "lost": str(len(verdict.lost)),
            "doubled": str(len(verdict.duplicated)),
            "disordered": str(len(verdict.disordered)),
            "gap s": f"{self.gap_seconds:.2f}",
            "roads": " ".join(f"{at:+.1f}:{road}" for at, road in self.roads),
        }


class Pair:
    """
    Two agents behind NATs.

    Args:
        a: The one that connects, and behind whose NAT things go wrong.
        b: The other one.

    """

    def __init__(self, a: Handle, b: Handle) -> None:
        self.a = a
        self.b = b
        self.opened: Connected | None = None
        self._trouble_at = time.monotonic()

    async def connect(self) -> Connected:
        """Have one connect to the other."""
        self.opened = await self.a.connect(self.b)
        return self.opened

    async def converse(self) -> None:
        """Have both send, until ``settle``; returns when that has gone on for a while."""
        self.a.send_to(self.b, PER_SECOND)
        self.b.send_to(self.a, PER_SECOND)
        await asyncio.sleep(WARM_UP_SECONDS)
        self.trouble()

    def trouble(self) -> None:
        """Something begins; times are told from here."""
        self._trouble_at = time.monotonic()

    async def road(self, road: str, seconds: float) -> float:
        """
        Wait until both agents use a road.

        Returns:
            Seconds since the trouble began.

        """
        await asyncio.gather(*(handle.on_road(road, seconds) for handle in (self.a, self.b)))
        return time.monotonic() - self._trouble_at

    async def settle(self) -> Outcome:
        """Have both go on a little, send no more, and wait for the end of everything; then judge."""
        await asyncio.sleep(COOL_DOWN_SECONDS)
        stopped = time.monotonic()
        await asyncio.gather(self.a.settle(), self.b.settle())
        lines = [*self.a.lines, *self.b.lines]
        return Outcome(
            verdict=judge(lines),
            gap_seconds=max(_gap(lines, handle.spec.label, stopped) for handle in (self.a, self.b)),
            roads=tuple((word.at - self._trouble_at, word.road) for word in self.a.roads),
            open_seconds=self.opened.seconds if self.opened else 0.0,
        )


def _gap(lines: Sequence[Line], recipient: str, stopped: float) -> float:
    """The longest silence at one recipient; nothing more at the end is silence, too."""
    times = sorted(line.at for line in lines if line.event is Event.HANDLED and line.recipient == recipient)
    if not times:
        return stopped
    ends = (*times, stopped) if times[-1] < stopped else tuple(times)
    return max((later - earlier for earlier, later in itertools.pairwise(ends)), default=0.0)
