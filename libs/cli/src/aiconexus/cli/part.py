"""One part of the platform: a process that is started again when it crashes, and not when it was told to stop."""

import asyncio
from collections.abc import Awaitable, Callable

from aiconexus.cli.child import Child
from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.logview import words_of

FIRST_DELAY_SECONDS = 0.2
LAST_DELAY_SECONDS = 5.0
STEADY_SECONDS = 30.0
"""A process that lived this long crashed for a new reason: the delay starts anew."""
POLL_SECONDS = 0.03
SETTINGS_STATUS = 2
"""A service that ends with it would end so again."""

SHOWN_LINES = 5

Probe = Callable[[Child], Awaitable[bool]]


class Part:
    """
    A process and who looks after it.

    Args:
        name: Of the part, also in the logs.
        make: Builds a process that was not started yet.
        probe: Whether this process does its work.
        on_line: Told what happens to the part.

    """

    def __init__(self, name: str, make: Callable[[], Child], probe: Probe, on_line: Callable[[str, str], None]) -> None:
        self.name = name
        self._make = make
        self._probe = probe
        self._on_line = on_line
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ends = 0
        self._status: int | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, if it runs."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the process and keep it running."""
        self._child = self._make()
        await self._child.start()
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def ready(self, patience_seconds: float) -> None:
        """
        Wait until it does its work.

        Raises:
            Failure: If it will not, with the last lines that it wrote.

        """
        ends = self._ends
        try:
            async with asyncio.timeout(patience_seconds):
                while not (self._child and self._child.pid and await self._probe(self._child)):
                    if self._ends != ends:
                        kind = Exit.USAGE if self._status == SETTINGS_STATUS else Exit.FAILED
                        raise Failure(self._told(f"{self.name} ended before it was ready"), kind)
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise Failure(self._told(f"{self.name} was not ready after {patience_seconds:g} s")) from error

    async def stop(self) -> None:
        """End the process in peace and do not start it again."""
        await self._let_go()
        if self._child is not None:
            await self._child.stop()

    async def kill(self) -> None:
        """End the process with SIGKILL and do not start it again."""
        await self._let_go()
        if self._child is not None:
            await self._child.kill()

    async def _let_go(self) -> None:
        """From now on nobody starts it again."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY_SECONDS
        while self._child is not None:
            started = loop.time()
            status = self._status = await self._child.wait()
            self._ends += 1
            if status == SETTINGS_STATUS:
                self._on_line(self.name, "ended: its settings are not usable")
                return
            if loop.time() - started > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            self._on_line(self.name, f"ended with status {status}; started again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_DELAY_SECONDS)
            self._child = self._make()
            await self._child.start()

    def _told(self, sentence: str) -> str:
        tail = [words_of(line) for line in list(self._child.tail)[-SHOWN_LINES:]] if self._child else []
        return "\n".join((sentence + (":" if tail else ""), *(f"  {line}" for line in tail)))
