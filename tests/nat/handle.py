"""The other end of ``traveller``: start such a process behind a NAT, order, and wait for what it says."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from tests.integration.checker import Line, read
from tests.nat import namespaces
from tests.nat.site import ROOT, Site
from tests.nat.words import Connect, Connected, Online, Road, Send, Settle, Settled, Spec, Words

START_SECONDS = 60.0
CONNECT_SECONDS = 30.0
SETTLE_SECONDS = 60.0
STOP_SECONDS = 15.0
SLACK_SECONDS = 10.0

WordType = TypeVar("WordType", bound=Any)


class Handle:
    """
    One agent.

    Args:
        site: Where it lives.
        spec: What it is.
        authority: The certificate of the TURN server.

    """

    def __init__(self, site: Site, spec: Spec, authority: Path) -> None:
        self.site = site
        self.spec = spec
        self.did = spec.identity.did
        self.heard: list[Any] = []
        self._authority = authority
        self._changed = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        command = (
            *namespaces.entering(self.site.inner),
            *("setpriv", "--pdeathsig", "KILL"),
            *(sys.executable, "-m", "tests.nat.traveller", msgspec.json.encode(self.spec).decode()),
        )
        with self.spec.complaints.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                env={**os.environ, **namespaces.ENVIRONMENT, "SSL_CERT_FILE": str(self._authority)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        self._reading = asyncio.create_task(self._read())
        await self.next(Online, START_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None or self._reading is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await self._reading

    def tell(self, order: Any) -> None:
        """Order something."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError(f"{self.spec.label} was not started")
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def next(self, type_: type[WordType], seconds: float, *, since: int = 0) -> WordType:
        """The first word of a kind that it said or says; ``since`` passes over so many words."""

        def found() -> WordType | None:
            return next((word for word in self.heard[since:] if isinstance(word, type_)), None)

        await self._until(lambda: found() is not None, seconds, f"say {type_.__name__}")
        word = found()
        assert word is not None
        return word

    async def on_road(self, road: str, seconds: float) -> None:
        """Wait until the last that it said of its road is this one."""
        await self._until(lambda: bool(self.roads) and self.roads[-1].road == road, seconds, f"take the road {road}")

    async def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            said = "\n".join(map(str, self.heard))
            story = f"{self.spec.label} did not {what} within {seconds} s; it said\n{said}\nand\n{self.complaints}"
            raise AssertionError(story) from None

    async def connect(self, other: "Handle", timeout_seconds: float = CONNECT_SECONDS) -> Connected:
        """Have it connect to another agent."""
        since = len(self.heard)
        self.tell(Connect(did=other.did, timeout=timeout_seconds))
        return await self.next(Connected, timeout_seconds + SLACK_SECONDS, since=since)

    def send_to(self, other: "Handle", per_second: float = 20.0) -> None:
        """Have it send numbered mail to another agent."""
        self.tell(Send(did=other.did, label=other.spec.label, per_second=per_second))

    async def settle(self) -> None:
        """Have it send no more, and wait until everything has come to its end."""
        since = len(self.heard)
        self.tell(Settle())
        await self.next(Settled, SETTLE_SECONDS, since=since)

    @property
    def roads(self) -> list[Road]:
        """The roads that it took, in order."""
        return [word for word in self.heard if isinstance(word, Road)]

    @property
    def lines(self) -> list[Line]:
        """What it wrote down."""
        return read(self.spec.journal)

    @property
    def complaints(self) -> str:
        """What it wrote to standard error."""
        return self.spec.complaints.read_text()[-4000:]

    async def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        async for line in self._process.stdout:
            async with self._changed:
                self.heard.append(msgspec.json.decode(line, type=Words))
                self._changed.notify_all()
