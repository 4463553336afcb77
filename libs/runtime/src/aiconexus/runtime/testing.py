"""
What the tests of services share: a real server that knows every service, what a service is given, and agents that ask.

The world of a service's tests is one of these with the replicas of that service.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgspec
import structlog
from prometheus_client import REGISTRY as METRICS

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.claims import curve_text
from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.ownership import SERVICES
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import SERVER_KEYS, NatsServer, config_with_accounts, new_key
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Error, Road
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.records import PRESENCE, REGISTRY, PresenceRecord, RegistryRecord
from aiconexus.protocol.seal import Letter, compose, unseal
from aiconexus.runtime.context import Context
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.logs import Log
from aiconexus.runtime.ports import Ports
from aiconexus.runtime.settings import ServiceSettings
from aiconexus.runtime.voice import Voice

ANSWER_SECONDS = 5.0

S = TypeVar("S", bound=ServiceSettings)
A = TypeVar("A", bound="Caller")


class Lines:
    """A log that keeps what it was told, from the level ``info`` on."""

    def __init__(self) -> None:
        self._logger = structlog.testing.CapturingLogger()
        self.log: Log = structlog.wrap_logger(
            self._logger,
            processors=[structlog.processors.add_log_level],
            wrapper_class=structlog.make_filtering_bound_logger("info"),
        )

    @property
    def all(self) -> list[dict[str, Any]]:
        """The facts of every line, in order."""
        return [dict(call.kwargs) for call in self._logger.calls]

    def of(self, event: str) -> list[dict[str, Any]]:
        """Those of every line with this event."""
        return [facts for facts in self.all if facts["event"] == event]


def counted(name: str, **labels: str) -> float:
    """The value of a metric, 0 if it was never moved."""
    return METRICS.get_sample_value(name, labels) or 0.0


def context_of(
    session: Session,
    service: str,
    instance: str,
    settings: S,
    *,
    key: SigningKey,
    directory: Directory,
    lines: Lines,
) -> Context[S]:
    """What ``process.run`` would give a service that is connected."""
    return Context(
        service=service,
        instance=instance,
        settings=settings,
        key=key,
        voice=Voice(key),
        directory=directory,
        session=session,
        health=Health(service, instance),
        ports=Ports(service, None, lines.log),
        log=lines.log,
    )


class BusWorld:
    """
    A server with all accounts, and nobody at it yet; to be entered.

    Args:
        home: The server's folder.

    """

    def __init__(self, home: Path) -> None:
        self.keys = {name: new_key() for name in (*SERVER_KEYS, "operator")}
        self.curve_seed = os.urandom(32)
        self.directory = Directory({name: self.keys[name].did for name in SERVICES}, [self.keys["operator"].did])
        self.lines = Lines()
        self.server = NatsServer(home, config_with_accounts(self.keys, curve_text(self.curve_seed), home / "store"))
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.server.start()
        self.stack.push_async_callback(self.server.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()

    async def join(self, key: SigningKey, name: str, inbox_prefix: str, **options: Any) -> Session:
        """Connect somebody for the length of the test."""
        session = await Session.connect([self.server.url], key, name=name, inbox_prefix=inbox_prefix, **options)
        self.stack.push_async_callback(session.close)
        return session

    async def session(self, service: str, instance: str = "t") -> Session:
        """Connect a service likewise."""
        return await self.join(self.keys[service], f"{service}.{instance}", subjects.service_inbox(service))

    async def context(self, service: str, instance: str, settings: S) -> Context[S]:
        """What a connected service is given."""
        return context_of(
            await self.session(service, instance),
            service,
            instance,
            settings,
            key=self.keys[service],
            directory=self.directory,
            lines=self.lines,
        )


class AgentWorld(BusWorld, Generic[A]):
    """
    One where agents are: with what identity writes of them, and an edge that the test is itself.

    ``agent_type`` is what they are.
    """

    agent_type: type[A]
    registry: Bucket
    presence: Bucket
    edge: Session
    identity: Session

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.identity = await self.session("identity")
        self.registry = await Bucket.ensure(self.identity, REGISTRY)
        self.presence = await Bucket.ensure(self.identity, PRESENCE, memory=True)
        self.edge = await self.session("edge")
        return self

    def stranger(self, key: SigningKey | None = None) -> A:
        """Somebody who never registered."""
        return self.agent_type(self, key or new_key())

    async def agent(self, key: SigningKey | None = None, **fields: Any) -> A:
        """Somebody who is registered; ``fields`` go into the record."""
        agent = self.stranger(key)
        await self.enrol(agent, **fields)
        return agent

    async def enrol(self, agent: "Caller", **fields: Any) -> None:
        """Write an agent's record; ``fields`` go into it."""
        record = RegistryRecord(did=agent.did, registered_ms=now_ms(), updated_ms=now_ms(), **fields)
        await self.registry.put(agent.key.token, msgspec.msgpack.encode(record))

    async def connect(self, agent: "Caller") -> None:
        """Write that an agent is connected."""
        record = PresenceRecord(did=agent.did, session="s", road=Road.EDGE, instance="e", since_ms=now_ms())
        await self.presence.put(agent.key.token, msgspec.msgpack.encode(record))

    async def disconnect(self, agent: "Caller") -> None:
        """Write that an agent is gone, and tell."""
        await self.presence.delete(agent.key.token)
        await self.identity.publish(subjects.presence(agent.key.token), b"")
        await self.identity.barrier()


class Caller:
    """
    An agent behind the edge.

    ``service`` and ``verb`` are what it asks for, unless told otherwise.

    Args:
        world: Where it is.
        key: Its own.

    """

    service: ClassVar[str]
    verb: ClassVar[str]

    def __init__(self, world: AgentWorld[Any], key: SigningKey) -> None:
        self.key = key
        self._world = world

    @property
    def did(self) -> str:
        """Its name."""
        return self.key.did

    @property
    def service_did(self) -> str:
        """Whom it asks."""
        return self._world.keys[self.service].did

    def sealed(self, body: Body, to: str, **options: Any) -> bytes:
        """An envelope, created now under a fresh id where nothing else is said."""
        given: dict[str, Any] = {"id_": new_id(), "now_ms": now_ms()} | options
        return compose(body, self.key, to, **given)

    async def request(self, verb: str, data: bytes, seconds: float = ANSWER_SECONDS, service: str = "") -> Letter:
        """Ask for something; the verified answer."""
        service = service or self.service
        subject = subjects.send(self.key.token, service, verb)
        letter = unseal((await self._world.edge.request(subject, data, timeout_seconds=seconds)).data, REPLY_MAX_BYTES)
        assert (self._world.keys[service].did, self.did) == (letter.envelope.sender, letter.envelope.recipient)
        return letter

    async def refused(self, data: bytes, verb: str = "") -> Error:
        """Hand an envelope over that is not taken."""
        body = (await self.request(verb or self.verb, data)).body
        assert isinstance(body, Error), body
        return body

    async def hear(self, kind: str = "live") -> "asyncio.Queue[Incoming]":
        """What is pushed to the agent: ``msg`` or ``live``."""
        heard: asyncio.Queue[Incoming] = asyncio.Queue()
        await self._world.edge.subscribe(subjects.inbox(self.key.token, kind), heard.put)
        await self._world.edge.barrier()
        return heard
