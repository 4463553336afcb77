"""A small world for the tests: three services and an agent, known to one nats-server."""

from pathlib import Path
from typing import Any

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import new_key
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Error
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Codec, Letter, compose, unseal
from aiconexus.runtime.context import Context
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.settings import ServiceSettings
from aiconexus.runtime.testing import Lines, context_of

SERVICES = ("identity", "relay", "edge")


class World:
    """Keys, directory and sessions of a test."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = {name: new_key() for name in (*SERVICES, "alice", "mallory")}
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
        return context_of(
            await self.session(service),
            service,
            "i1",
            ServiceSettings(seed=self.keys[service].seed, directory_file=""),
            key=self.keys[service],
            directory=self.directory,
            lines=self.lines,
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


def error_in(letter_body: Body) -> Error:
    """The ERROR that the answer must be."""
    assert isinstance(letter_body, Error)
    return letter_body
