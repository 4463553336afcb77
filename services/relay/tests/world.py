"""A small world for the tests: a real server with all accounts, relay's replicas, and agents that come by an edge."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
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
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import NatsServer
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Ack, Acked, Body, Error, Fetch, Mail, Message, Receipt, ReceiptItem, Road
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.records import PRESENCE, REGISTRY, PresenceRecord, RegistryRecord
from aiconexus.protocol.seal import Codec, Letter, Sealed, compose, unseal
from aiconexus.relay.service import serve
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.context import Context
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.ports import Ports
from aiconexus.runtime.voice import Voice

PATIENCE_SECONDS = 10
QUICK = {"lease_seconds": 2.0, "sweep_seconds": 0.1}

B = TypeVar("B", bound=Body)


class World:
    """Keys, server and replicas of a test."""

    def __init__(self, home: Path) -> None:
        self.keys = {name: SigningKey(os.urandom(32)) for name in (*SERVICES, "auth", "system", "issuer")}
        self.directory = Directory({name: self.keys[name].did for name in SERVICES})
        self.server = NatsServer(home, self._config(home))
        self.stack = AsyncExitStack()
        self.log = structlog.wrap_logger(
            structlog.testing.CapturingLogger(),
            processors=[],
            wrapper_class=structlog.make_filtering_bound_logger(20),
        )

    @property
    def relay_did(self) -> str:
        """Whom fetches and acks are addressed to."""
        return self.keys["relay"].did

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

    async def open(self) -> None:
        """Let identity make its buckets, and an edge come."""
        await self.server.start()
        self._identity = await self.session("identity")
        self.registry = await Bucket.ensure(self._identity, REGISTRY)
        self.presence = await Bucket.ensure(self._identity, PRESENCE, memory=True)
        self.edge = await self.session("edge")

    async def session(self, service: str) -> Session:
        """Connect a service for the length of the test."""
        session = await Session.connect(
            [self.server.url], self.keys[service], name=service, inbox_prefix=subjects.service_inbox(service)
        )
        self.stack.push_async_callback(session.close)
        return session

    @asynccontextmanager
    async def relay(self, instance: str = "r1", **options: Any) -> AsyncIterator[Context[RelaySettings]]:
        """One replica at work."""
        key = self.keys["relay"]
        settings = RelaySettings(nats_urls=(self.server.url,), seed=key.seed, directory_file="", **QUICK | options)
        session = await self.session("relay")
        context = Context(
            service="relay",
            instance=instance,
            settings=settings,
            key=key,
            voice=Voice(key),
            directory=self.directory,
            session=session,
            health=Health("relay"),
            ports=Ports("relay", None, self.log),
            log=self.log,
        )
        async with serve(context):
            yield context

    async def agent(self, **fields: Any) -> "Agent":
        """Somebody who is registered; ``fields`` go into the record."""
        agent = Agent(self, SigningKey(os.urandom(32)))
        await self.enrol(agent, **fields)
        return agent

    async def enrol(self, agent: "Agent", **fields: Any) -> None:
        """Write an agent's record."""
        record = RegistryRecord(did=agent.did, registered_ms=now_ms(), updated_ms=now_ms(), **fields)
        await self.registry.put(agent.key.token, record_bytes(record))

    async def connect(self, agent: "Agent") -> None:
        """Write that an agent is connected."""
        record = PresenceRecord(did=agent.did, session="s", road=Road.EDGE, instance="e", since_ms=now_ms())
        await self.presence.put(agent.key.token, record_bytes(record))


class Agent:
    """An agent behind the edge."""

    def __init__(self, world: World, key: SigningKey) -> None:
        self.key = key
        self._world = world

    @property
    def did(self) -> str:
        """Its name."""
        return self.key.did

    def sealed(self, body: Body, to: str, **options: Any) -> bytes:
        """An envelope, created now under a fresh id where nothing else is said."""
        given: dict[str, Any] = {"id_": new_id(), "now_ms": now_ms()} | options
        return compose(body, self.key, to, **given)

    def mail(self, to: "Agent", content: object = "hello", **options: Any) -> bytes:
        """A MESSAGE to somebody."""
        return self.sealed(Message(content=content), to.did, **options)

    async def request(self, verb: str, data: bytes, seconds: float = 5.0) -> Letter:
        """Ask relay for something; its verified answer."""
        subject = subjects.send(self.key.token, "relay", verb)
        letter = unseal((await self._world.edge.request(subject, data, timeout_seconds=seconds)).data, REPLY_MAX_BYTES)
        assert (self._world.relay_did, self.did) == (letter.envelope.sender, letter.envelope.recipient)
        return letter

    async def submit(self, data: bytes, seconds: float = 5.0) -> ReceiptItem:
        """Hand an envelope over that is taken."""
        body = (await self.request("submit", data, seconds)).body
        assert isinstance(body, Receipt), body
        return body.items[0]

    async def refused(self, data: bytes, verb: str = "submit") -> Error:
        """Hand an envelope over that is not taken."""
        body = (await self.request(verb, data)).body
        assert isinstance(body, Error), body
        return body

    async def fetch(self, after: int = 0, limit: int = 100, codec: Codec = Codec.MSGPACK) -> Mail:
        """A page of the mailbox."""
        question = self.sealed(Fetch(after=after, limit=limit), self._world.relay_did, codec=codec)
        body = (await self.request("fetch", question)).body
        assert isinstance(body, Mail), body
        return body

    async def ack(self, upto: int) -> Acked:
        """Be done with everything up to a sequence."""
        body = (await self.request("ack", self.sealed(Ack(upto=upto), self._world.relay_did))).body
        assert isinstance(body, Acked), body
        return body

    async def hear(self, kind: str) -> "asyncio.Queue[Incoming]":
        """What is pushed to the agent: ``msg`` or ``live``."""
        heard: asyncio.Queue[Incoming] = asyncio.Queue()
        await self._world.edge.subscribe(subjects.inbox(self.key.token, kind), heard.put)
        await self._world.edge.barrier()
        return heard


def letters(mail: Mail) -> list[Letter]:
    """What is in a page, verified."""
    return [unseal(Sealed(item.codec, item.payload, item.signature)) for item in mail.items]


def contents(mail: Mail) -> list[object]:
    """What the MESSAGEs of a page say."""
    return [letter.body.content for letter in letters(mail) if isinstance(letter.body, Message)]


def receipts(mail: Mail) -> Sequence[ReceiptItem]:
    """What the RECEIPTs of a page say."""
    return [item for letter in letters(mail) if isinstance(letter.body, Receipt) for item in letter.body.items]


async def until(agent: Agent, fits: Callable[[Mail], bool], seconds: float = PATIENCE_SECONDS) -> Mail:
    """Fetch again with each new entry until a page fits."""
    heard = await agent.hear("msg")
    async with asyncio.timeout(seconds):
        while not fits(mail := await agent.fetch()):
            await heard.get()
    return mail


def record_bytes(record: RegistryRecord | PresenceRecord) -> bytes:
    """As identity writes it."""
    return msgspec.msgpack.encode(record)


def counted(name: str, **labels: str) -> float:
    """The value of a metric, 0 if it was never moved."""
    return METRICS.get_sample_value(name, labels) or 0.0
