"""A small world: a real server with all accounts, a relay, replicas of retry, and agents whose edge the test is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Session
from aiconexus.bus.streams import Streams
from aiconexus.protocol.bodies import Ack, Body, Error, Fetch, Mail, Message, Receipt, ReceiptStatus
from aiconexus.protocol.errors import BusError, RemoteProblem
from aiconexus.protocol.job_bodies import JobShown, JobState, Return, Schedule, Scheduled, ShowJob
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import Sealed, unseal
from aiconexus.relay.service import serve as serve_relay
from aiconexus.relay.settings import RelaySettings
from aiconexus.retry.service import serve as serve_retry
from aiconexus.retry.settings import RetrySettings
from aiconexus.runtime.testing import AgentWorld, Caller

PATIENCE_SECONDS = 15
QUICK = RetryPolicy(max_retries=2, initial_delay_seconds=0.05, max_delay_seconds=0.2, jitter=0.0)

B = TypeVar("B", bound=Body)


class Agent(Caller):
    """Somebody who asks services and reads a mailbox."""

    service = "retry"

    def __init__(self, world: AgentWorld[Any], key: SigningKey) -> None:
        super().__init__(world, key)
        self._read = 0

    def letter(self, to: "Agent", content: Any = "hello", **fields: Any) -> bytes:
        """A sealed MESSAGE of ours."""
        return self.sealed(Message(content=content), to.did, **fields)

    async def ask(self, body: Body, answer: type[B], service: str = "retry") -> B:
        """Ask a service, through the edge that the test is, until it is there; an ERROR is raised."""
        to = self._world.keys[service].did
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                said = await self._ask_once(service, body)
                if said is not None:
                    break
                await asyncio.sleep(0.05)
        if isinstance(said, Error):
            raise RemoteProblem(to, said)
        assert isinstance(said, answer), said
        return said

    async def _ask_once(self, service: str, body: Body) -> Body | None:
        sealed = self.sealed(body, self._world.keys[service].did)
        try:
            said = (await self.request(body.TYPE.lower(), sealed, seconds=1, service=service)).body
        except BusError:
            return None
        return None if isinstance(said, Error) and said.problem in ("unavailable", "timeout") else said

    async def schedule(self, letter: bytes, policy: RetryPolicy = QUICK, not_before_ms: int = 0) -> Scheduled:
        """Leave an envelope to retry."""
        return await self.ask(Schedule(envelope=letter, policy=policy, not_before_ms=not_before_ms), Scheduled)

    async def show(self, job: str) -> JobShown:
        """All about a job."""
        return await self.ask(ShowJob(job=job), JobShown)

    async def reach(self, job: str, *states: JobState) -> JobShown:
        """Wait until a job is in one of these states."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (shown := await self.show(job)).card.state not in states:
                await asyncio.sleep(0.02)
        return shown

    async def mail(self, count: int = 1) -> list[tuple[int, bytes]]:
        """Wait for so many further entries of our mailbox: their sequences, and what was sealed."""
        entries: list[tuple[int, bytes]] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(entries) < count:
                mail = await self.ask(Fetch(after=self._read), Mail, "relay")
                for item in mail.items:
                    self._read = item.sequence
                    sealed = msgspec.msgpack.encode(Sealed(item.codec, item.payload, item.signature))
                    entries.append((item.sequence, sealed))
                await asyncio.sleep(0 if mail.items else 0.02)
        return entries

    async def ack(self, upto: int) -> None:
        """Have the mailbox forgotten up to a sequence."""
        await self.ask(Ack(upto=upto), Body, "relay")

    async def give_back(self, sequence: int, letter: bytes, **fields: Any) -> Scheduled:
        """Say that we failed at an entry, then acknowledge it."""
        answer = await self.ask(Return(envelope=letter, sequence=sequence, **fields), Scheduled)
        await self.ack(sequence)
        return answer

    async def notice(self) -> tuple[str, str | None]:
        """The next receipt that an envelope of ours is a dead letter: which one, and why."""
        ((sequence, sealed),) = await self.mail()
        await self.ack(sequence)
        letter = unseal(sealed)
        assert letter.envelope.sender == self._world.keys["retry"].did
        assert isinstance(letter.body, Receipt)
        (item,) = letter.body.items
        assert item.status is ReceiptStatus.DEAD_LETTERED
        assert letter.envelope.in_reply_to == item.id
        return item.id, item.problem


class World(AgentWorld[Agent]):
    """Keys, directory, server and services of a test."""

    agent_type = Agent

    @asynccontextmanager
    async def relay(self, **options: Any) -> AsyncIterator[None]:
        """The relay at work."""
        settings = RelaySettings(seed=self.keys["relay"].seed, directory_file="", **options)
        async with serve_relay(await self.context("relay", "r", settings)):
            yield

    @asynccontextmanager
    async def retry(
        self, instance: str = "1", streams: Callable[[Session], Streams] = Streams, **options: Any
    ) -> AsyncIterator[None]:
        """One replica of retry at work."""
        given = {"look_seconds": 0.1, "look_max_seconds": 0.5, **options}
        settings = RetrySettings(seed=self.keys["retry"].seed, directory_file="", **given)
        context = await self.context("retry", instance, settings)
        async with serve_retry(context, streams(context.session)):
            yield

    async def revoke(self, agent: Agent) -> None:
        """Declare an agent's key void."""
        await self.enrol(agent, revoked_ms=now_ms())


def refused(problem: str) -> Callable[[RemoteProblem], bool]:
    """Whether an ERROR says this."""
    return lambda error: error.error.problem == problem
