"""A small world: a real server with all accounts, a relay, replicas of retry, and agents whose edge the test is."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from prometheus_client import REGISTRY as METRICS

from aiconexus.bus.accounts import ServerPlan, render_server_config
from aiconexus.bus.buckets import Bucket
from aiconexus.bus.claims import account_text, curve_text
from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.ownership import SERVICES
from aiconexus.bus.session import Session
from aiconexus.bus.testing import NatsServer
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Ack, Body, Error, Fetch, Mail, Message, Receipt, ReceiptStatus
from aiconexus.protocol.errors import BusError, RemoteProblem
from aiconexus.protocol.job_bodies import JobShown, JobState, Return, Schedule, Scheduled, ShowJob
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.records import PRESENCE, REGISTRY, RegistryRecord
from aiconexus.protocol.seal import Sealed, compose, unseal
from aiconexus.relay.service import serve as serve_relay
from aiconexus.relay.settings import RelaySettings
from aiconexus.retry.service import serve as serve_retry
from aiconexus.retry.settings import RetrySettings
from aiconexus.runtime.context import Context
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.logs import Log
from aiconexus.runtime.ports import Ports
from aiconexus.runtime.voice import Voice

PATIENCE_SECONDS = 15
QUICK = RetryPolicy(max_retries=2, initial_delay_seconds=0.05, max_delay_seconds=0.2, jitter=0.0)

B = TypeVar("B", bound=Body)


class World:
    """Keys, directory, server and services of a test."""

    def __init__(self, home: Path) -> None:
        self.keys = {name: SigningKey(os.urandom(32)) for name in (*SERVICES, "auth", "system", "issuer", "operator")}
        self.directory = Directory({name: self.keys[name].did for name in SERVICES}, [self.keys["operator"].did])
        self.server = NatsServer(home, self._config(home))
        self.stack = AsyncExitStack()
        self._log: Log = structlog.wrap_logger(
            structlog.testing.CapturingLogger(), wrapper_class=structlog.make_filtering_bound_logger(40)
        )

    def _config(self, home: Path) -> str:
        nkeys = {name: user_nkey(key.public_key) for name, key in self.keys.items()}
        plan = ServerPlan(
            store_dir=str(home / "store"),
            services={name: nkeys[name] for name in SERVICES},
            auth=nkeys["auth"],
            system=nkeys["system"],
            issuer=account_text(self.keys["issuer"]),
            xkey=curve_text(os.urandom(32)),
        )
        # The test's server chooses its own port, and keeps it.
        lines = render_server_config(plan).splitlines()
        return "\n".join(line for line in lines if not line.startswith("listen:"))

    async def start(self) -> None:
        """Start the server, with the buckets that identity keeps."""
        await self.server.start()
        identity = await self.session("identity")
        self.registry = await Bucket.ensure(identity, REGISTRY)
        await Bucket.ensure(identity, PRESENCE)
        self.edge = await self.session("edge")

    async def session(self, service: str, instance: str = "") -> Session:
        """Connect a service for the length of the test."""
        session = await Session.connect(
            [self.server.url],
            self.keys[service],
            name=f"{service}{instance}",
            inbox_prefix=subjects.service_inbox(service),
        )
        self.stack.push_async_callback(session.close)
        return session

    async def context(self, service: str, instance: str, settings: Any) -> Context[Any]:
        """What a connected service is given."""
        key = self.keys[service]
        return Context(
            service=service,
            instance=instance,
            settings=settings,
            key=key,
            voice=Voice(key),
            directory=self.directory,
            session=await self.session(service, instance),
            health=Health(service),
            ports=Ports(service, None, self._log),
            log=self._log,
        )

    @asynccontextmanager
    async def relay(self, **options: Any) -> AsyncIterator[None]:
        """The relay at work."""
        settings = RelaySettings(seed=self.keys["relay"].seed, directory_file="", **options)
        async with serve_relay(await self.context("relay", "r", settings)):
            yield

    @asynccontextmanager
    async def retry(self, instance: str = "1", **options: Any) -> AsyncIterator[None]:
        """One replica of retry at work."""
        given = {"look_seconds": 0.1, "look_max_seconds": 0.5, **options}
        settings = RetrySettings(seed=self.keys["retry"].seed, directory_file="", **given)
        async with serve_retry(await self.context("retry", instance, settings)):
            yield

    async def agent(self, key: SigningKey | None = None) -> "Agent":
        """Somebody who is registered."""
        agent = Agent(self, key or SigningKey(os.urandom(32)))
        record = RegistryRecord(did=agent.did, registered_ms=now_ms(), updated_ms=now_ms())
        await self.registry.put(agent.key.token, msgspec.msgpack.encode(record))
        return agent

    async def revoke(self, agent: "Agent") -> None:
        """Declare an agent's key void."""
        record = RegistryRecord(did=agent.did, registered_ms=now_ms(), updated_ms=now_ms(), revoked_ms=now_ms())
        await self.registry.put(agent.key.token, msgspec.msgpack.encode(record))


class Agent:
    """Somebody who asks services and reads a mailbox."""

    def __init__(self, world: World, key: SigningKey) -> None:
        self.key = key
        self.did = key.did
        self._world = world
        self._read = 0

    def letter(self, to: "Agent", content: Any = "hello", **fields: Any) -> bytes:
        """A sealed MESSAGE of ours."""
        given = {"id_": new_id(), "now_ms": now_ms(), **fields}
        return compose(Message(content=content), self.key, to.did, **given)

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
        to = self._world.keys[service].did
        sealed = compose(body, self.key, to, id_=new_id(), now_ms=now_ms())
        subject = subjects.send(self.key.token, service, body.TYPE.lower())
        try:
            incoming = await self._world.edge.request(subject, sealed, timeout_seconds=1)
        except BusError:
            return None
        letter = unseal(incoming.data, REPLY_MAX_BYTES)
        assert (to, self.did) == (letter.envelope.sender, letter.envelope.recipient)
        said = letter.body
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


def refused(problem: str) -> Callable[[RemoteProblem], bool]:
    """Whether an ERROR says this."""
    return lambda error: error.error.problem == problem


def counted(name: str, **labels: str) -> float:
    """The value of a metric, 0 if it was never moved."""
    return METRICS.get_sample_value(name, labels) or 0.0
