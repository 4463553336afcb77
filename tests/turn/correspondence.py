"""Numbered mail between two agents in one process, both ways, with the times at which it was handled."""

import asyncio
import itertools
import time
from typing import Self

from aiconexus.protocol.bodies import Message
from aiconexus.sdk import Agent, Delivery, Sent

PER_SECOND = 20.0
SETTLE_SECONDS = 30.0


class Side:
    """
    One agent, which sends numbers to another and notes those that it handles.

    Args:
        agent: Ours.
        recipient: Whom it writes to.

    """

    def __init__(self, agent: Agent, recipient: str) -> None:
        self.agent = agent
        self.sent: list[Sent] = []
        self.handled: list[int] = []
        self.times: list[float] = []
        self.came = asyncio.Event()
        self._recipient = recipient
        agent.on("MESSAGE")(self._handle)

    async def write(self) -> None:
        """Send until cancelled."""
        for number in itertools.count():
            self.sent.append(await self.agent.post(self._recipient, Message(content=number), timeout=0))
            await asyncio.sleep(1 / PER_SECOND)

    @property
    def roads(self) -> set[str]:
        """The roads that what was sent took last."""
        return {sent.road for sent in self.sent}

    async def _handle(self, delivery: Delivery) -> None:
        self.handled.append(delivery.content)
        self.times.append(time.monotonic())
        self.came.set()


class Correspondence:
    """
    Two sides that write to each other for the length of a block.

    Args:
        one: An agent.
        other: Another.

    """

    def __init__(self, one: Agent, other: Agent) -> None:
        self.sides = Side(one, other.did), Side(other, one.did)
        self._writing: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._writing = [asyncio.create_task(side.write()) for side in self.sides]
        await self.go_on(5)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def go_on(self, count: int) -> None:
        """Wait until both sides have handled so many more."""
        async with asyncio.timeout(SETTLE_SECONDS):
            for side in self.sides:
                wanted = len(side.handled) + count
                while len(side.handled) < wanted:
                    side.came.clear()
                    await side.came.wait()

    async def settle(self) -> None:
        """Send no more, and wait until everything has come to its end."""
        await self.__aexit__()
        async with asyncio.timeout(SETTLE_SECONDS):
            for side in self.sides:
                for sent in side.sent:
                    await sent.wait_processed(SETTLE_SECONDS)

    @property
    def is_whole(self) -> bool:
        """Whether each side handled everything that the other sent, once and in order."""
        one, other = self.sides
        return one.handled == list(range(len(other.sent))) and other.handled == list(range(len(one.sent)))

    def silence_after(self, moment: float) -> float:
        """The longest time without mail at either side since a moment."""
        silences = []
        for side in self.sides:
            times = [moment, *(at for at in side.times if at > moment)]
            silences.append(max(later - earlier for earlier, later in itertools.pairwise(times)))
        return max(silences)
