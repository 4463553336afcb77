"""
One agent of the demo, in a process of its own: `python -m aiconexus.cli.demo.actor PART.json`.

A reader sends out pieces of text and letters; a worker counts and reads its letters. Both note what they see.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from aiconexus.cli.demo.notes import Event, Notebook
from aiconexus.cli.demo.texts import Piece, Statistics, count, pieces_of, total
from aiconexus.protocol.bodies import ExecRequest, ExecResponse, Message
from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk import Agent, AgentState, Delivery, Identity, Notice

CAPABILITY = "text.statistics"
ANSWER_SECONDS = 60.0
WINDOW = 512
"""Calls that may be open at the same time."""
REPORT_EVERY = 25
"""A worker writes a letter to whoever gives it work, each time it has done so many pieces."""
SHORT_LIFE_MS = 1_500
"""One letter lives so briefly that it expires while its recipient is away."""
SPOILT = "\N{BROKEN HEART}"
"""A letter that says this cannot be handled: it ends as a dead letter."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Who this process is and what it does."""

    name: str
    key: str
    url: str
    subprotocol: str
    notes: str
    workers: tuple[str, ...] = ()
    away: str = ""
    files: tuple[str, ...] = ()
    letters: int = 0
    pieces_per_second: float = 40.0


class Actor:
    """
    An agent that notes what it sees.

    Args:
        part: What it plays.

    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._notes = Notebook(Path(part.notes))
        self._done = 0
        self._agent = Agent(
            Identity.load(part.key),
            part.url,
            name=part.name,
            subprotocol=part.subprotocol,
            capabilities=() if part.workers else (CAPABILITY,),
        )
        self._agent.on_state(self._note_state)
        self._agent.on_receipt(self._note_receipt)
        self._agent.on_error(self._note_error)
        self._agent.on(Message)(self._read_letter)
        if not part.workers:
            self._agent.on(ExecRequest)(self._count)

    async def play(self) -> None:
        """Be there until told to go, and give out the work if that is the part."""
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        async with self._agent:
            work, waiting = asyncio.ensure_future(self._work()), asyncio.ensure_future(told.wait())
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                await waiting
            work.cancel()
            await asyncio.wait({work})

    async def _work(self) -> None:
        if self._part.workers:
            await self._give_out()

    async def _give_out(self) -> None:
        pieces = pieces_of([Path(file) for file in self._part.files])
        await self._write_letters(pieces)
        room = asyncio.Semaphore(WINDOW)
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, piece in enumerate(pieces):
                await room.acquire()
                worker = self._part.workers[number % len(self._part.workers)]
                task = group.create_task(self._ask(worker, piece))
                task.add_done_callback(lambda _: room.release())
                tasks.append(task)
                await asyncio.sleep(1 / self._part.pieces_per_second)
        self._notes.write(Event.DONE, **msgspec.structs.asdict(total(task.result() for task in tasks)))

    async def _write_letters(self, pieces: list[Piece]) -> None:
        for number in range(self._part.letters):
            letter = {"number": number, "about": pieces[number % len(pieces)].name}
            await self._agent.send(self._part.away, letter, timeout=ANSWER_SECONDS)
        await self._agent.send(self._part.away, {"text": SPOILT}, timeout=ANSWER_SECONDS)
        await self._agent.send(self._part.away, {"text": "too late"}, timeout=ANSWER_SECONDS, lifetime_ms=SHORT_LIFE_MS)

    async def _ask(self, worker: str, piece: Piece) -> Statistics:
        request = ExecRequest(capability=CAPABILITY, args={"name": piece.name, "text": piece.text})
        try:
            answer = await self._agent.request(worker, request, timeout=ANSWER_SECONDS)
        except AiconexusError as error:
            self._note_error(error)
            return Statistics()
        self._notes.write(Event.HANDLED, id_=answer.id, peer=answer.sender, text=answer.type)
        if not isinstance(answer.body, ExecResponse):
            return Statistics()
        self._notes.write(Event.RESULT, peer=worker, text=piece.name)
        return msgspec.convert(answer.body.result, Statistics)

    async def _count(self, delivery: Delivery) -> dict[str, int]:
        self._notes.write(Event.HANDLED, id_=delivery.id, peer=delivery.sender, text=delivery.type)
        arguments: dict[str, Any] = delivery.body.args if isinstance(delivery.body, ExecRequest) else {}
        found: dict[str, int] = msgspec.structs.asdict(count(arguments["text"]))
        self._done += 1
        if self._done % REPORT_EVERY == 0:
            await self._agent.send(delivery.sender, {"done": self._done}, timeout=0)
        return found

    async def _read_letter(self, delivery: Delivery) -> None:
        self._notes.write(Event.HANDLED, id_=delivery.id, peer=delivery.sender, text=delivery.type)
        if delivery.content.get("text") == SPOILT:
            raise ValueError("nobody can read this letter")

    def _note_state(self, state: AgentState) -> None:
        self._notes.write(Event.STATE, text=state.value)

    def _note_receipt(self, notice: Notice) -> None:
        text = notice.problem or ""
        self._notes.write(Event(notice.status.value), id_=notice.id, peer=notice.recipient, text=text)

    def _note_error(self, error: Exception) -> None:
        self._notes.write(Event.ERROR, text=f"{type(error).__name__}: {error}"[:200])


def main() -> int:
    """Play the part that the file describes."""
    part = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Part)
    try:
        asyncio.run(Actor(part).play())
    except AiconexusError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
