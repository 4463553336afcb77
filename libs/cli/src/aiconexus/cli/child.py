"""
One process of the platform: started in a session of its own, its lines passed on, stopped by its pid alone.

A session of its own keeps the terminal's Ctrl-C away from it, so that the platform can stop its parts in order.
"""

import asyncio
import ctypes
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

STOP_SECONDS = 25.0
"""Longer than a service takes to finish what it has begun."""
LINE_MAX_BYTES = 256 * 1024
TAIL_LINES = 50

_PR_SET_PDEATHSIG = 1

OnLine = Callable[[str, str], None]
"""Name of the process, and a line it wrote."""


class Child:
    """
    A process.

    Args:
        name: What it is called in the logs.
        command: Program and arguments.
        environment: All that it gets.
        on_line: Called for each line that it writes to either of its outputs.

    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], on_line: OnLine) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._command = command
        self._environment = environment
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """
        Start it; whether it is ready is another question.

        Raises:
            OSError: If there is no such program.

        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=dict(self._environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_MAX_BYTES,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._pump = asyncio.get_running_loop().create_task(self._pass_on())

    async def wait(self) -> int:
        """
        Wait for its end.

        Returns:
            Its exit status; negative if a signal ended it.

        """
        process, pump = self._running()
        status = await process.wait()
        # Not awaited itself: whoever cancels this wait must not cancel the pump.
        await asyncio.wait({pump})
        return status

    async def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """Ask it to end, and end it if it does not."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience_seconds):
                await self.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it without asking: SIGKILL."""
        if self._process is None:
            return
        self._send(signal.SIGKILL)
        await self.wait()

    def _send(self, number: signal.Signals) -> None:
        process, _ = self._running()
        if process.returncode is None:
            process.send_signal(number)

    def _running(self) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        if self._process is None or self._pump is None:
            message = f"{self.name} was not started"
            raise RuntimeError(message)
        return self._process, self._pump

    async def _pass_on(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        while True:
            try:
                raw = await process.stdout.readline()
            except ValueError:
                # A line longer than the limit: what was read of it is dropped.
                continue
            if not raw:
                return
            line = raw.decode(errors="replace").rstrip()
            self.tail.append(line)
            self._on_line(self.name, line)


def _die_with_parent() -> None:
    # prctl(2): nobody is left to stop this process if the platform itself is killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
