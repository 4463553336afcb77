"""
Thousands of retries while everything is killed and started again, judged from outside.

The recipients fail at what they get, so that every envelope is tried again; some fail for ever. What they did, what the
senders were told, and what the service says of its jobs must fit together in the end.
"""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import pytest
from tests.integration.strangers import NativeStranger, native, sealed

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Ack, Acked, Body, Error, Fetch, Mail, Message, Receipt, ReceiptStatus
from aiconexus.protocol.errors import BusError
from aiconexus.protocol.job_bodies import DeadLetters, JobList, Jobs, JobState, Return, Schedule, Scheduled
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import Letter, Sealed, unseal, wrap

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORM = {
    "scale": {"retry": 2},
    "settings": {
        "AICONEXUS_RETRY_LOOK_SECONDS": "0.5",
        "AICONEXUS_RETRY_LOOK_MAX_SECONDS": "2",
        "AICONEXUS_RETRY_ACK_WAIT_SECONDS": "5",
        "AICONEXUS_RETRY_LOG_LEVEL": "warning",
    },
}
JOBS, PAIRS = 5_000, 5
SCHEDULED_SHARE = 5
"""Each fifth is left to the service by its sender; the others are returned by their recipients."""
SPREAD_MS = 8_000
DOOMED_SHARE = 10
POLICY = RetryPolicy(max_retries=2, initial_delay_seconds=0.5, max_delay_seconds=2.0, jitter=0.5)
AT_ONCE = 24
WHOLE_SECONDS = 150
IDLE_SECONDS = 0.25
AWAY_SECONDS = 0.1

B = TypeVar("B", bound=Body)


def is_doomed(id_: str) -> bool:
    """Whether the recipient will never manage it."""
    return zlib.crc32(id_.encode()) % DOOMED_SHARE == 0


async def ask(agent: NativeStranger, service: str, body: Body, answer: type[B]) -> B:
    """Ask until there is an answer that is none of a platform in trouble."""
    while True:
        try:
            data = sealed(agent.key, body, agent.services[service])
            said = (await agent.ask(service, body.TYPE.lower(), data)).body
        except BusError:
            await asyncio.sleep(AWAY_SECONDS)
            continue
        if isinstance(said, Error) and said.retryable:
            await asyncio.sleep((said.retry_after_ms or 0) / 1000 + AWAY_SECONDS)
            continue
        assert isinstance(said, answer), said
        return said


class Reader:
    """Somebody who reads a mailbox in order."""

    def __init__(self, agent: NativeStranger) -> None:
        self.agent = agent
        self._read = 0

    async def page(self) -> list[tuple[int, Letter]]:
        """What came since the last page, verified."""
        mail = await ask(self.agent, "relay", Fetch(after=self._read), Mail)
        entries = [(item.sequence, unseal(Sealed(item.codec, item.payload, item.signature))) for item in mail.items]
        if entries:
            self._read = entries[-1][0]
        return entries

    async def done(self) -> None:
        """Acknowledge all that was read."""
        await ask(self.agent, "relay", Ack(upto=self._read), Acked)


class Recipient:
    """Somebody who fails at first, and at what is doomed always."""

    def __init__(self, agent: NativeStranger) -> None:
        self.agent = agent
        self.failures: Counter[str] = Counter()
        self.handled: set[str] = set()
        self.doubled = 0
        self._reader = Reader(agent)

    async def run(self) -> None:
        """Handle what comes, until cancelled."""
        while True:
            entries = await self._reader.page()
            if not entries:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            await asyncio.gather(*(self._handle(*entry) for entry in entries))
            await self._reader.done()

    async def fail(self, sequence: int, letter: bytes, id_: str) -> None:
        """Give one back."""
        self.failures[id_] += 1
        await ask(self.agent, "retry", Return(envelope=letter, sequence=sequence, policy=POLICY), Scheduled)

    async def _handle(self, sequence: int, letter: Letter) -> None:
        id_ = letter.envelope.id
        if id_ in self.handled:
            self.doubled += 1
        elif is_doomed(id_) or not self.failures[id_]:
            await self.fail(sequence, wrap(letter.sealed), id_)
        else:
            self.handled.add(id_)


class Sender:
    """Somebody who has envelopes delivered, and hears which are dead letters."""

    def __init__(self, agent: NativeStranger, recipient: Recipient) -> None:
        self.agent = agent
        self.ids: set[str] = set()
        self.notices: Counter[str] = Counter()
        self._recipient = recipient
        self._reader = Reader(agent)

    async def begin(self, count: int) -> None:
        """Leave a share of the envelopes to retry, and have the recipient fail at the others."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with room:
                await self._begin_one(number, count)

        await asyncio.gather(*map(one, range(count)))

    async def _begin_one(self, number: int, count: int) -> None:
        id_ = new_id()
        letter = sealed(self.agent.key, Message(content=number), self._recipient.agent.key.did, id_=id_)
        self.ids.add(id_)
        if number % SCHEDULED_SHARE:
            await self._recipient.fail(1, letter, id_)
            return
        at_ms = now_ms() + number * SPREAD_MS // count
        await ask(self.agent, "retry", Schedule(envelope=letter, policy=POLICY, not_before_ms=at_ms), Scheduled)

    async def states(self) -> dict[str, JobState]:
        """What the service says of all jobs."""
        states: dict[str, JobState] = {}
        cursor, is_first = None, True
        while cursor or is_first:
            listed = await ask(self.agent, "retry", Jobs(cursor=cursor), JobList)
            states |= {card.job.partition(".")[2]: card.state for card in listed.jobs}
            cursor, is_first = listed.cursor, False
        return states

    async def dead_letters(self) -> set[str]:
        """What the service keeps as dead letters."""
        ids: set[str] = set()
        cursor, is_first = None, True
        while cursor or is_first:
            listed = await ask(self.agent, "retry", DeadLetters(cursor=cursor), JobList)
            ids |= {card.job.partition(".")[2] for card in listed.jobs}
            cursor, is_first = listed.cursor, False
        return ids

    async def hear(self) -> None:
        """Read all notices that there are."""
        while entries := await self._reader.page():
            for _, letter in entries:
                assert letter.envelope.sender == self.agent.services["retry"]
                assert isinstance(letter.body, Receipt)
                self.notices.update(item.id for item in letter.body.items if item.status is ReceiptStatus.DEAD_LETTERED)

    async def settled(self) -> dict[str, JobState]:
        """Wait until every job has ended."""
        while True:
            states = await self.states()
            if not {JobState.WAITING, JobState.PLACED, JobState.DYING} & set(states.values()):
                return states
            await asyncio.sleep(IDLE_SECONDS)


@asynccontextmanager
async def everybody(url: str) -> AsyncIterator[list[tuple[Sender, Recipient]]]:
    """Pairs of senders and recipients, the recipients at work."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        pairs = []
        for _ in range(PAIRS):
            recipient = Recipient(await stack.enter_async_context(native(url)))
            pairs.append((Sender(await stack.enter_async_context(native(url)), recipient), recipient))
        working = [tasks.create_task(recipient.run()) for _, recipient in pairs]
        yield pairs
        for task in working:
            task.cancel()


async def kill_all(platform: Platform) -> None:
    """SIGKILL every process in turn, and start it again."""
    for part in list(platform.pids):
        await platform.kill(part)
        await platform.restart(part)


async def test_every_job_ends_once_while_everything_is_killed(platform: Platform) -> None:
    """5,000 envelopes that fail at first all end in success or as a dead letter with one notice, whatever dies."""
    async with everybody(platform.endpoints().nats) as pairs, asyncio.timeout(WHOLE_SECONDS):
        async with asyncio.TaskGroup() as tasks:
            for sender, _ in pairs:
                tasks.create_task(sender.begin(JOBS // PAIRS))
            tasks.create_task(kill_all(platform))
        for sender, recipient in pairs:
            states = await sender.settled()
            await sender.hear()
            doomed = set(filter(is_doomed, sender.ids))
            expected = {id_: JobState.DEAD if id_ in doomed else JobState.DONE for id_ in sender.ids}

            assert expected == states
            assert doomed == await sender.dead_letters()
            assert dict.fromkeys(doomed, 1) == sender.notices
            assert sender.ids - doomed == recipient.handled
