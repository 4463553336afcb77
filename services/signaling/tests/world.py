"""A small world for the tests: a real server with all accounts, replicas of signaling, agents that come by an edge."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

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
from aiconexus.protocol.bodies import Body, Error, Road
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.records import PRESENCE, REGISTRY, PresenceRecord, RegistryRecord
from aiconexus.protocol.seal import Letter, compose, unseal
from aiconexus.runtime.context import Context
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.ports import Ports
from aiconexus.runtime.voice import Voice
from aiconexus.signaling.service import serve
from aiconexus.signaling.settings import SignalingSettings


class World:
    """Keys, server and replicas of a test."""

    def __init__(self, home: Path) -> None:
        self.keys = {name: SigningKey(os.urandom(32)) for name in (*SERVICES, "auth", "system", "issuer")}
        self.directory = Directory({name: self.keys[name].did for name in SERVICES})
        self.server = NatsServer(home, self._config(home))
        self.stack = AsyncExitStack()
        self._lines = structlog.testing.CapturingLogger()
        self.log = structlog.wrap_logger(
            self._lines,
            processors=[structlog.processors.add_log_level],
            wrapper_class=structlog.make_filtering_bound_logger(20),
        )

    @property
    def did(self) -> str:
        """Whom questions are addressed to."""
        return self.keys["signaling"].did

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
    async def signaling(self, instance: str = "s1", **options: Any) -> AsyncIterator[Context[SignalingSettings]]:
        """One replica at work."""
        key = self.keys["signaling"]
        settings = SignalingSettings(nats_urls=(self.server.url,), seed=key.seed, directory_file="", **options)
        session = await self.session("signaling")
        context = Context(
            service="signaling",
            instance=instance,
            settings=settings,
            key=key,
            voice=Voice(key),
            directory=self.directory,
            session=session,
            health=Health("signaling"),
            ports=Ports("signaling", None, self.log),
            log=self.log,
        )
        async with serve(context):
            yield context

    async def agent(self, **fields: Any) -> "Agent":
        """Somebody who is registered; ``fields`` go into the record."""
        agent = Agent(self, SigningKey(os.urandom(32)))
        await self.enrol(agent, **fields)
        return agent

    def stranger(self) -> "Agent":
        """Somebody who never registered."""
        return Agent(self, SigningKey(os.urandom(32)))

    def told(self, event: str) -> list[dict[str, Any]]:
        """The facts of every line with this event."""
        return [dict(call.kwargs) for call in self._lines.calls if call.kwargs["event"] == event]

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

    async def request(self, verb: str, data: bytes, seconds: float = 5.0) -> Letter:
        """Ask signaling for something; its verified answer."""
        subject = subjects.send(self.key.token, "signaling", verb)
        letter = unseal((await self._world.edge.request(subject, data, timeout_seconds=seconds)).data, REPLY_MAX_BYTES)
        assert (self._world.did, self.did) == (letter.envelope.sender, letter.envelope.recipient)
        return letter

    async def refused(self, data: bytes, verb: str = "forward") -> Error:
        """Hand an envelope over that is not taken."""
        body = (await self.request(verb, data)).body
        assert isinstance(body, Error), body
        return body

    async def hear(self) -> "asyncio.Queue[Incoming]":
        """What is pushed to the agent."""
        heard: asyncio.Queue[Incoming] = asyncio.Queue()
        await self._world.edge.subscribe(subjects.inbox_live(self.key.token), heard.put)
        await self._world.edge.barrier()
        return heard


def record_bytes(record: RegistryRecord | PresenceRecord) -> bytes:
    """As identity writes it."""
    return msgspec.msgpack.encode(record)


def counted(name: str, **labels: str) -> float:
    """The value of a metric, 0 if it was never moved."""
    return METRICS.get_sample_value(name, labels) or 0.0
