"""The course of the demo: who comes when, what goes wrong when, and what it must come to."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from aiconexus.cli.child import Child
from aiconexus.cli.demo.actor import Part
from aiconexus.cli.demo.hostile import Intruder, Try
from aiconexus.cli.demo.notes import Note, Reader
from aiconexus.cli.demo.tally import Member, Tally
from aiconexus.cli.demo.texts import Statistics, count, pieces_of, total
from aiconexus.cli.demo.verdict import Verdict, judge
from aiconexus.cli.failure import Failure
from aiconexus.cli.platform import Endpoints, Platform
from aiconexus.sdk import Agent, Identity

BINARY, TEXT = "aiconexus.v1", "ioap.v1"
ROADS = {"ada": "NATS", "bruno": "WS, JSON", "cleo": "WS, binary"}
DIALECTS = {"ada": BINARY, "bruno": TEXT, "cleo": BINARY}
LETTERS = 24
KILL_AT = 0.2
"""The relay is killed when this share of the work has come back."""
DOWN_SECONDS = 1.0
TICK_SECONDS = 0.1
DEADLINE_SECONDS = 120.0


class Audience(Protocol):
    """Where the run is shown."""

    def refresh(self, tally: Tally) -> None:
        """Show how it stands now."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the run came to."""

    verdict: Verdict
    tries: tuple[Try, ...]
    counted: Statistics
    expected: Statistics
    seconds: float

    @property
    def forged_refused(self) -> int:
        """How many hostile tries failed for the right reason."""
        return sum(found.is_refused for found in self.tries)

    @property
    def faults(self) -> list[str]:
        """Every promise that was not kept."""
        verdict = self.verdict
        faults = [] if verdict.is_clean else [f"not every envelope came to exactly one end: {verdict}"]
        faults += [f"{found.what} on {found.road}: {found.met}" for found in self.tries if not found.is_refused]
        if self.counted != self.expected:
            faults.append(f"the agents counted {self.counted}, it should be {self.expected}")
        return faults


class Play:
    """
    One run in a folder of its own.

    Args:
        home: An empty folder.
        files: The texts to work on.
        audience: Who watches.
        pieces_per_second: How fast the work is given out.

    """

    def __init__(self, home: Path, files: list[Path], audience: Audience, pieces_per_second: float) -> None:
        self._home = home
        self._files = files
        self._audience = audience
        self._pieces_per_second = pieces_per_second
        self._identities = {name: Identity.create(home / f"{name}.key") for name in ROADS}
        self._readers = {name: Reader(home / f"{name}.notes") for name in ROADS}
        self._notes: dict[str, list[Note]] = {name: [] for name in ROADS}
        self._children: dict[str, Child] = {}
        members = [Member(name, identity.did, ROADS[name]) for name, identity in self._identities.items()]
        self._tally = Tally(members)

    async def run(self) -> Outcome:
        """
        Play it from beginning to end.

        Raises:
            Failure: If it cannot be played to its end.

        """
        began = time.monotonic()
        pieces = pieces_of(self._files)
        self._tally.pieces = len(pieces)
        self._say("demo", f"{len(pieces)} pieces of {len(self._files)} text files are to be counted")
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._play()
        except TimeoutError as error:
            text = f"not over after {DEADLINE_SECONDS:g} s: {self._tally.open_count} envelopes are still on their way"
            raise Failure(text) from error
        self._follow()
        return Outcome(
            verdict=judge(self._notes),
            tries=tuple(self._tally.tries),
            counted=msgspec.convert(self._tally.figures or {}, Statistics),
            expected=total(count(piece.text) for piece in pieces),
            seconds=round(time.monotonic() - began, 1),
        )

    async def _play(self) -> None:
        async with AsyncExitStack() as stack:
            platform = await stack.enter_async_context(Platform(self._home / "platform"))
            here = platform.endpoints()
            self._tally.relay = "up"
            self._say("platform", f"is up at {here.nats} and {here.ws}")
            observer = await stack.enter_async_context(Agent(Identity.generate(), here.nats, name="observer"))
            watching = asyncio.get_running_loop().create_task(self._watch(observer))
            stack.push_async_callback(_cancelled, watching)
            stack.push_async_callback(self._dismiss)
            await self._scenes(platform, here, observer.identity)

    async def _scenes(self, platform: Platform, here: Endpoints, victim: Identity) -> None:
        await self._introduce("cleo", here)
        await self._enter("bruno", here)
        await self._enter("ada", here)
        await self._until(lambda: self._tally.results > 0)
        await self._intrude(here, victim)
        await self._until(lambda: self._tally.results >= KILL_AT * self._tally.pieces)
        await self._crash(platform)
        await self._enter("cleo", here)
        await self._until(lambda: self._tally.figures is not None and not self._tally.open_count)
        self._say("demo", "every envelope has come to its end")

    async def _introduce(self, name: str, here: Endpoints) -> None:
        """Let an agent register and go away again, so that it is known and has a mailbox."""
        visitor = Agent(
            self._identities[name], here.ws, name=name, subprotocol=DIALECTS[name], state=self._home / f"{name}.visit"
        )
        async with visitor:
            self._show()
        self._say(name, "has gone, its mailbox stays")

    async def _enter(self, name: str, here: Endpoints) -> None:
        """Start an agent as a process and wait until it is here."""
        part = self._part(name, here)
        file = self._home / f"{name}.part.json"
        file.write_bytes(msgspec.json.encode(part))
        command = [sys.executable, "-m", "aiconexus.cli.demo.actor", str(file)]
        self._children[name] = child = Child(name, command, os.environ, self._say)
        await child.start()
        await self._until(lambda: self._tally.members[name].is_here)

    def _part(self, name: str, here: Endpoints) -> Part:
        is_reader = name == "ada"
        return Part(
            name=name,
            key=str(self._home / f"{name}.key"),
            url=here.nats if is_reader else here.ws,
            subprotocol=DIALECTS[name],
            notes=str(self._home / f"{name}.notes"),
            workers=tuple(self._identities[worker].did for worker in ("bruno", "cleo")) if is_reader else (),
            away=self._identities["cleo"].did if is_reader else "",
            files=tuple(str(file) for file in self._files) if is_reader else (),
            letters=LETTERS,
            pieces_per_second=self._pieces_per_second,
        )

    async def _intrude(self, here: Endpoints, victim: Identity) -> None:
        target = self._identities["bruno"].did
        for url, subprotocol, name in (
            (here.nats, BINARY, "NATS"),
            (here.ws, BINARY, "binary"),
            (here.ws, TEXT, "JSON"),
        ):
            intruder = Intruder(url, subprotocol, name=name, victim=victim, target=target)
            self._tally.note_tries(await intruder.attack())
            self._show()

    async def _crash(self, platform: Platform) -> None:
        self._tally.relay = "killed"
        self._say("relay", "is killed with SIGKILL in the middle of the work")
        await platform.kill("relay")
        await self._pause(DOWN_SECONDS)
        self._tally.relay = "starting"
        await platform.restart("relay")
        self._tally.relay = "up"
        self._say("relay", "is back")

    async def _dismiss(self) -> None:
        await asyncio.gather(*(child.stop() for child in self._children.values()))

    async def _watch(self, observer: Agent) -> None:
        async for presence in observer.watch():
            self._tally.note_presence(presence.did, is_here=presence.online)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._pause(TICK_SECONDS)
            for name, child in self._children.items():
                if child.pid is None:
                    words = "\n  ".join(child.tail)
                    raise Failure(f"{name} ended before its time:\n  {words}")

    async def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, TICK_SECONDS))
            self._show()

    def _say(self, who: str, what: str) -> None:
        self._tally.say(who, what)
        self._show()

    def _show(self) -> None:
        self._follow()
        self._audience.refresh(self._tally)

    def _follow(self) -> None:
        for name, reader in self._readers.items():
            for note in reader.news():
                self._notes[name].append(note)
                self._tally.take(name, note)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
