"""
Agents as processes of their own, so that they can be killed: one sends numbered mail, one writes down what it handles.

Run as ``python -m tests.integration.agents SPEC``, with the spec as JSON. Commands come in on standard input, one word
a line, and its end ends the agent; what happened goes out on standard output, one word a line.
"""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator

import msgspec
from tests.integration.checker import ENDS, Event, Journal, Line, read
from tests.integration.lives import Life

from aiconexus.protocol.bodies import Message, ReceiptStatus
from aiconexus.sdk import Agent, AgentState, Delivery, Notice

ONLINE, SETTLED, PAUSED = "online", "settled", "paused"
PAUSE, RESUME, SETTLE = "pause", "resume", "settle"

_EVENTS = {
    ReceiptStatus.STORED: Event.ACCEPTED,
    ReceiptStatus.PROCESSED: Event.PROCESSED,
    ReceiptStatus.EXPIRED: Event.EXPIRED,
    ReceiptStatus.DEAD_LETTERED: Event.DEAD,
}


class Spec(Life, frozen=True, kw_only=True):
    """
    What one process is.

    A sender sends to every label in ``recipients`` in turn, ``per_second`` envelopes in all; a recipient works
    ``work_seconds`` on each.
    """

    subprotocol: str = "aiconexus.v1"
    recipients: dict[str, str] = msgspec.field(default_factory=dict)
    per_second: float = 20.0
    work_seconds: float = 0.0

    def agent(self) -> Agent:
        """The agent; its state lies beside its key."""
        agent = Agent(self.identity, self.url, name=self.label, subprotocol=self.subprotocol)

        @agent.on_state
        def tell(state: AgentState) -> None:
            if state is AgentState.ONLINE:
                say(ONLINE)

        return agent


class Post(msgspec.Struct, frozen=True):
    """What the mail says."""

    sender: str
    number: int
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Recipient:
    """Writes down what it handles."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._journal = Journal(spec.journal)

    async def live(self) -> None:
        """Handle until told to end."""
        agent = self._spec.agent()
        agent.on("MESSAGE")(self._handle)
        async with agent:
            async for _ in commands():
                pass

    async def _handle(self, delivery: Delivery) -> None:
        post = msgspec.convert(delivery.content, Post)
        if self._spec.work_seconds:
            await asyncio.sleep(self._spec.work_seconds)
        self._journal.write(
            Line(
                event=Event.HANDLED,
                sender=post.sender,
                number=post.number,
                recipient=self._spec.label,
                digest=post.digest,
                at=time.monotonic(),
            )
        )


class Sender:
    """Sends numbered mail and writes down what it is told about it."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        earlier = read(spec.journal)
        self._number = max((line.number for line in earlier), default=0)
        self._numbers = {line.id: line.number for line in earlier if line.event is Event.QUEUED}
        self._open = set(self._numbers.values()) - {line.number for line in earlier if line.event in ENDS}
        self._journal = Journal(spec.journal)
        self._running = asyncio.Event()
        self._running.set()
        self._idle = asyncio.Event()
        self._ended = asyncio.Event()

    async def live(self) -> None:
        """Send until told to end."""
        agent = self._spec.agent()
        agent.on_receipt(self._note)
        async with agent:
            sending = asyncio.create_task(self._send(agent))
            async for command in commands():
                if command == RESUME:
                    self._running.set()
                    continue
                self._running.clear()
                await self._idle.wait()
                if command == SETTLE:
                    await self._settle(agent)
                say({PAUSE: PAUSED, SETTLE: SETTLED}[command])
            sending.cancel()

    async def _send(self, agent: Agent) -> None:
        while True:
            for label, did in self._spec.recipients.items():
                if not self._running.is_set():
                    self._idle.set()
                    await self._running.wait()
                    self._idle.clear()
                await self._send_one(agent, label, did)
                await asyncio.sleep(1 / self._spec.per_second)

    async def _send_one(self, agent: Agent, label: str, did: str) -> None:
        self._number += 1
        number = self._number
        post = Post(self._spec.label, number, f"{number} " + "lorem ipsum " * (number % 50))
        self._write(Event.ATTEMPTED, number, recipient=label, digest=post.digest)
        sent = await agent.post(did, Message(content=msgspec.to_builtins(post)), timeout=0)
        self._numbers[sent.id] = number
        self._open.add(number)
        self._write(Event.QUEUED, number, id=sent.id)

    def _note(self, notice: Notice) -> None:
        number, event = self._numbers.get(notice.id), _EVENTS.get(notice.status)
        if number is None or event is None:
            return
        self._write(event, number, problem=notice.problem or "")
        if event in ENDS:
            self._end(number)

    async def _settle(self, agent: Agent) -> None:
        """Wait until everything has ended; what the relay refused has ended, too."""
        while self._open:
            self._ended.clear()
            for row in agent.dead_letters():
                number = self._numbers.get(row.id)
                if number in self._open and number is not None:
                    self._write(Event.DEAD, number, problem=row.problem or "")
                    self._end(number)
            if self._open:
                await self._ended.wait()

    def _end(self, number: int) -> None:
        self._open.discard(number)
        self._ended.set()

    def _write(self, event: Event, number: int, **fields: str) -> None:
        line = Line(event=event, sender=self._spec.label, number=number, at=time.monotonic(), **fields)
        self._journal.write(line)


def say(word: str) -> None:
    """Tell the test."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def commands() -> AsyncIterator[str]:
    """What the test says, until it says no more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield line.decode().strip()


def main() -> None:
    """Be what the spec says."""
    spec = msgspec.json.decode(sys.argv[1], type=Spec)
    asyncio.run((Sender(spec) if spec.recipients else Recipient(spec)).live())


if __name__ == "__main__":
    main()
