"""The other end of ``agents``: start such a process, talk to it, kill it and start it again."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import msgspec
from msgspec.structs import replace
from tests.integration.agents import ONLINE, PAUSE, PAUSED, RESUME, SETTLE, SETTLED, Spec
from tests.integration.checker import Event, Line, Verdict, judge, read

from aiconexus.cli.platform import Endpoints

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 45.0
"""A fault may take a while to heal, on a machine that does other things, too."""
POLL_SECONDS = 0.02
PAUSE_MAX_SECONDS = 8.0
"""The longest that honest agents may have to wait while others attack, even if a relay is killed meanwhile."""


class AgentProcess:
    """
    One agent.

    Args:
        spec: What it is, in every life.

    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and wait until it is online."""
        command = (sys.executable, "-m", "tests.integration.agents", msgspec.json.encode(self.spec).decode())
        with self.spec.complaints.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors
            )
        await self.heard(ONLINE)

    async def heard(self, word: str) -> None:
        """Wait for a word."""
        process = self._running
        if process.stdout is None:
            raise RuntimeError("no standard output")
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in process.stdout:
                if line.decode().strip() == word:
                    return
        raise RuntimeError(f"{self.spec.label} ended before it said {word}: {self.complaints}")

    async def pause(self) -> None:
        """Have a sender send nothing more."""
        self._tell(PAUSE)
        await self.heard(PAUSED)

    def resume(self) -> None:
        """Have it go on."""
        self._tell(RESUME)

    async def settle(self) -> None:
        """Have a sender wait until everything that it sent has come to an end."""
        self._tell(SETTLE)
        await self.heard(SETTLED)

    async def kill(self) -> None:
        """SIGKILL."""
        self._running.kill()
        await self._running.wait()

    def freeze(self) -> None:
        """SIGSTOP: it is there, and does nothing."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on as if nothing had been."""
        self._running.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """Let it end in order, and insist."""
        process = self._running
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(process.wait(), self._drain())
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise

    @property
    def lines(self) -> list[Line]:
        """What it wrote down."""
        return read(self.spec.journal)

    @property
    def complaints(self) -> str:
        """What it wrote to standard error."""
        return self.spec.complaints.read_text()[-2000:]

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.spec.label} was not started")
        return self._process

    def _tell(self, word: str) -> None:
        if self._running.stdin is None:
            raise RuntimeError("no standard input")
        self._running.stdin.write(f"{word}\n".encode())

    async def _drain(self) -> None:
        if self._running.stdout is not None:
            await self._running.stdout.read()


def dialects(endpoints: Endpoints) -> dict[str, tuple[str, str]]:
    """The three ways for an agent to speak to a platform: URL and subprotocol."""
    return {
        "nats": (endpoints.nats, "aiconexus.v1"),
        "binary": (endpoints.ws, "aiconexus.v1"),
        "text": (endpoints.ws, "ioap.v1"),
    }


class Traffic:
    """
    Senders and recipients, each in a dialect of its own; every sender writes to every recipient.

    Args:
        senders: Running.
        recipients: Likewise.

    """

    def __init__(self, senders: Mapping[str, AgentProcess], recipients: Mapping[str, AgentProcess]) -> None:
        self.senders = senders
        self.recipients = recipients

    async def settle(self) -> Verdict:
        """Send nothing more, wait until everything has come to its end, and judge."""
        settled = await asyncio.gather(*(sender.settle() for sender in self.senders.values()), return_exceptions=True)
        for error in settled:
            # What did not come to its end in time is named by the verdict.
            if error is not None and not isinstance(error, TimeoutError):
                raise error
        return judge(self.lines)

    @property
    def lines(self) -> list[Line]:
        """What everybody wrote down so far."""
        everybody = (*self.senders.values(), *self.recipients.values())
        return [line for process in everybody for line in process.lines]

    async def grow(self, event: Event, count: int) -> None:
        """Wait until so many more of these have happened."""
        wanted = self._count(event) + count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._count(event) < wanted:
                await asyncio.sleep(POLL_SECONDS)

    def _count(self, event: Event) -> int:
        return sum(line.event is event for line in self.lines)

    def resume(self) -> None:
        """Send again."""
        for sender in self.senders.values():
            sender.resume()


@asynccontextmanager
async def traffic(
    endpoints: Endpoints,
    home: Path,
    *,
    senders: Iterable[str] = ("nats", "binary", "text"),
    recipients: Iterable[str] = ("nats", "binary", "text"),
    per_second: float = 24.0,
    work_seconds: float = 0.0,
) -> AsyncIterator[Traffic]:
    """Traffic between dialects, as processes, for the length of a block."""
    ways = dialects(endpoints)

    def spec(role: str, dialect: str) -> Spec:
        url, subprotocol = ways[dialect]
        return Spec(label=f"{role}-{dialect}", folder=str(home), url=url, subprotocol=subprotocol)

    async with AsyncExitStack() as stack:
        receiving = {
            dialect: AgentProcess(replace(spec("recipient", dialect), work_seconds=work_seconds))
            for dialect in recipients
        }
        # The keys exist before the processes do, so that the senders know whom to write to.
        dids = {process.spec.label: process.spec.identity.did for process in receiving.values()}
        await asyncio.gather(*(stack.enter_async_context(process) for process in receiving.values()))
        sending = {
            dialect: AgentProcess(replace(spec("sender", dialect), recipients=dids, per_second=per_second))
            for dialect in senders
        }
        await asyncio.gather(*(stack.enter_async_context(process) for process in sending.values()))
        yield Traffic(sending, receiving)
