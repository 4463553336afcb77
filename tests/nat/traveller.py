"""
An agent as a process behind a NAT: connects, sends numbered mail, writes down what it handles, and tells of roads.

Run as ``python -m tests.nat.traveller SPEC``; see ``words`` for what it is told and what it says. It ends with its
standard input.
"""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from tests.integration.checker import ENDS, Event, Journal, Line
from tests.nat.words import Connect, Connected, Online, Orders, Road, Send, Settle, Settled, Spec, Standing

from aiconexus.protocol.bodies import Message, ReceiptStatus
from aiconexus.protocol.errors import AiconexusError
from aiconexus.sdk import Agent, Delivery, Notice
from aiconexus.sdk.direct.peer import Peer
from aiconexus.sdk.direct.settings import Direct

PATIENT = {"connect_seconds": 25.0}
"""Many trials at a time make everything slow."""
_ENDS = {
    ReceiptStatus.PROCESSED: Event.PROCESSED,
    ReceiptStatus.EXPIRED: Event.EXPIRED,
    ReceiptStatus.DEAD_LETTERED: Event.DEAD,
}


class Traveller:
    """One agent."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._journal = Journal(spec.journal)
        direct = Direct(ice_servers=spec.servers, **{**PATIENT, **spec.direct})
        self._agent = Agent(
            spec.identity, spec.url, name=spec.label, subprotocol=spec.subprotocol, state=":memory:", direct=direct
        )
        self._number = 0
        self._numbers: dict[str, int] = {}
        self._open: set[int] = set()
        self._ended = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def live(self) -> None:
        """Do as told until nothing more is said."""
        agent = self._agent
        agent.on("MESSAGE")(self._handle)
        agent.on_receipt(self._note)
        agent.on_peer(self._meet)
        async with agent:
            say(Online(at=time.monotonic()))
            async for order in orders():
                self._begin(order)
            for task in (*self._tasks, self._sending):
                if task is not None:
                    task.cancel()

    def _begin(self, order: Any) -> None:
        match order:
            case Send():
                self._sending = asyncio.create_task(self._send(order))
            case Connect():
                self._run(self._connect(order))
            case Settle():
                self._run(self._settle())

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, order: Connect) -> None:
        started = time.monotonic()
        road = problem = phase = ""
        try:
            road = (await self._agent.connect_to(order.did, timeout=order.timeout)).road
        except (AiconexusError, TimeoutError) as error:
            problem, phase = f"{type(error).__name__}: {error}", getattr(error, "phase", "")
        at = time.monotonic()
        say(Connected(at=at, seconds=at - started, road=road, problem=problem, phase=phase))

    def _meet(self, peer: Peer) -> None:
        say(Standing(at=time.monotonic(), state=str(peer.state)))
        say(Road(at=time.monotonic(), road=peer.road))
        peer.on_state(lambda state: say(Standing(at=time.monotonic(), state=str(state))))
        peer.on_road(lambda road: say(Road(at=time.monotonic(), road=road)))

    async def _send(self, order: Send) -> None:
        due = time.monotonic()
        while True:
            self._number += 1
            await self._send_one(order, self._number)
            due += 1 / order.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _send_one(self, order: Send, number: int) -> None:
        text = f"{number} " + "lorem ipsum " * (number % 20)
        self._write(Event.ATTEMPTED, number, recipient=order.label, digest=_digest(text))
        content = {"sender": self._spec.label, "number": number, "text": text}
        sent = await self._agent.post(order.did, Message(content=content), timeout=0)
        # It is in the outbox: from here on it is promised.
        self._numbers[sent.id] = number
        self._open.add(number)
        self._write(Event.ACCEPTED, number, id=sent.id)

    async def _handle(self, delivery: Delivery) -> None:
        sender, number, text = (delivery.content[name] for name in ("sender", "number", "text"))
        line = Line(
            event=Event.HANDLED,
            sender=sender,
            number=number,
            recipient=self._spec.label,
            digest=_digest(text),
            at=time.monotonic(),
        )
        self._journal.write(line)

    def _note(self, notice: Notice) -> None:
        number, event = self._numbers.get(notice.id), _ENDS.get(notice.status)
        if number is None or event is None:
            return
        self._write(event, number, problem=notice.problem or "")
        if event in ENDS:
            self._open.discard(number)
            self._ended.set()

    async def _settle(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        while self._open:
            self._ended.clear()
            await self._ended.wait()
        say(Settled(at=time.monotonic()))

    def _write(self, event: Event, number: int, **fields: str) -> None:
        self._journal.write(Line(event=event, sender=self._spec.label, number=number, at=time.monotonic(), **fields))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def say(word: Any) -> None:
    """Tell the test."""
    sys.stdout.write(msgspec.json.encode(word).decode() + "\n")
    sys.stdout.flush()


async def orders() -> AsyncIterator[Orders]:
    """What the test says, until it says no more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield msgspec.json.decode(line, type=Orders)


def main() -> None:
    """Be what the spec says."""
    asyncio.run(Traveller(msgspec.json.decode(sys.argv[1], type=Spec)).live())


if __name__ == "__main__":
    main()
