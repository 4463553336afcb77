"""A small world for the tests: three services and an agent, known to one nats-server."""

import os
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import REGISTRY

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.session import Incoming, Session
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Letter, compose, unseal
from aiconexus.runtime.context import Context
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Health
from aiconexus.runtime.logs import Log
from aiconexus.runtime.ports import Ports
from aiconexus.runtime.settings import ServiceSettings
from aiconexus.runtime.voice import Voice

SERVICES = ("identity", "relay", "edge")


class Lines:
    """A log that keeps what it was told."""

    def __init__(self) -> None:
        self._logger = structlog.testing.CapturingLogger()
        self.log: Log = structlog.wrap_logger(
            self._logger, processors=[], wrapper_class=structlog.make_filtering_bound_logger(20)
        )

    def of(self, event: str) -> list[dict[str, Any]]:
        """The facts of every line with this event."""
        return [dict(call.kwargs) for call in self._logger.calls if call.kwargs["event"] == event]


class World:
    """Keys, directory and sessions of a test."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = {name: SigningKey(os.urandom(32)) for name in (*SERVICES, "alice", "mallory")}
        self.directory = Directory({name: self.keys[name].did for name in SERVICES})
        self.lines = Lines()
        self._sessions: list[Session] = []

    def config(self, store: Path) -> str:
        """The part of the server's configuration that lets everybody in."""
        users = ", ".join(f"{{ nkey: {user_nkey(key.public_key)} }}" for key in self.keys.values())
        return f'max_payload: 1MB\njetstream {{ store_dir: "{store}" }}\nauthorization {{ users: [ {users} ] }}\n'

    async def session(self, name: str) -> Session:
        """Connect somebody."""
        session = await Session.connect([self.url], self.keys[name], name=name, inbox_prefix=f"_INBOX.{name}")
        self._sessions.append(session)
        return session

    async def context(self, service: str) -> Context[ServiceSettings]:
        """What a connected service is given."""
        key = self.keys[service]
        return Context(
            service=service,
            instance="i1",
            settings=ServiceSettings(seed=key.seed, directory_file=""),
            key=key,
            voice=Voice(key),
            directory=self.directory,
            session=await self.session(service),
            health=Health(service),
            ports=Ports(service, None, self.lines.log),
            log=self.lines.log,
        )

    def sealed(self, sender: str, body: Body, to: str, **fields: Any) -> bytes:
        """An envelope between two of the world, fresh unless told otherwise."""
        given = {"id_": new_id(), "now_ms": now_ms(), **fields}
        return compose(body, self.keys[sender], self.keys[to].did, **given)

    async def close(self) -> None:
        """Disconnect everybody."""
        for session in self._sessions:
            await session.close()


class Caller:
    """Somebody who asks services by hand, as an agent or a hostile one would."""

    def __init__(self, world: World, session: Session, name: str) -> None:
        self.key = world.keys[name]
        self.session = session
        self._world = world
        self._name = name

    async def ask(self, service: str, body: Body, *, codec: Codec = Codec.MSGPACK, verb: str = "") -> Letter:
        """Send a proper request and verify the answer."""
        data = self._world.sealed(self._name, body, service, codec=codec, limit=REPLY_MAX_BYTES)
        return await self.send(service, verb or body.TYPE.lower(), data)

    async def send(self, service: str, verb: str, data: bytes) -> Letter:
        """Send any bytes under our own subject and verify the answer."""
        return opened(await self.session.request(subjects.send(self.key.token, service, verb), data))


def opened(incoming: Incoming) -> Letter:
    """Verify an answer."""
    return unseal(incoming.data, REPLY_MAX_BYTES)


def counted(name: str, **labels: str) -> float:
    """The value of a metric, 0 if it was never moved."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
