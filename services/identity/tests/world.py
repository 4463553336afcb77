"""A small world for the tests: a real server with all accounts, identity's replicas, an edge, and agents on NATS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import new_id, now_ms
from aiconexus.bus.session import Incoming
from aiconexus.identity.service import start
from aiconexus.identity.settings import IdentitySettings
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Presence, Register, Registered
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.edge_bodies import Attach, Attached, Detach
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.records import EDGE_LEASE_SECONDS, EDGES
from aiconexus.protocol.seal import Codec, Letter, compose, unseal
from aiconexus.runtime.ask import ask
from aiconexus.runtime.context import Context
from aiconexus.runtime.settings import ServiceSettings
from aiconexus.runtime.testing import BusWorld

PATIENCE_SECONDS = 5

B = TypeVar("B", bound=Body)


class Heard:
    """What came on a subscription; waits for what is still to come."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self._news = asyncio.Condition()

    async def take(self, incoming: Incoming) -> None:
        """Believe only what is sealed."""
        async with self._news:
            self.letters.append(unseal(incoming.data))
            self._news.notify_all()

    async def wait_for(self, fits: Callable[[Body], bool], seconds: float = PATIENCE_SECONDS) -> Letter:
        """The first letter that fits."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: any(fits(letter.body) for letter in self.letters))
            return next(letter for letter in self.letters if fits(letter.body))

    def bodies(self, of: type[B]) -> list[B]:
        """All of one type."""
        return [letter.body for letter in self.letters if isinstance(letter.body, of)]


class World(BusWorld):
    """Keys, directory, server and replicas of a test."""

    @property
    def platform(self) -> str:
        """Identity's DID."""
        return self.keys["identity"].did

    @asynccontextmanager
    async def identity(self, instance: str = "i1", **options: Any) -> AsyncIterator[Context[IdentitySettings]]:
        """One replica at work."""
        settings = IdentitySettings(
            nats_urls=(self.server.url,),
            seed=self.keys["identity"].seed,
            directory_file="",
            auth_seed=self.keys["auth"].seed,
            system_seed=self.keys["system"].seed,
            issuer_seed=self.keys["issuer"].seed,
            xkey_seed=self.curve_seed,
            **options,
        )
        context = await self.context("identity", instance, settings)
        async with start(context):
            yield context

    async def watch(self) -> Heard:
        """Hear who comes and goes, as a service does."""
        heard = Heard()
        relay = await self.session("relay", "w")
        await relay.subscribe(subjects.all_presence(), heard.take)
        await relay.barrier()
        return heard

    async def edge(self, instance: str = "e1") -> "Edge":
        """An edge with its lease."""
        settings = ServiceSettings(seed=self.keys["edge"].seed, directory_file="")
        context = await self.context("edge", instance, settings)
        bucket = await Bucket.ensure(context.session, EDGES, ttl_seconds=EDGE_LEASE_SECONDS, memory=True)
        await bucket.put(instance, b"")
        return Edge(self, context, bucket)


class Edge:
    """The part of an edge that identity sees."""

    def __init__(self, world: World, context: Context[Any], leases: Bucket) -> None:
        self.context = context
        self.leases = leases
        self._world = world

    async def attach(
        self, key: SigningKey, session: str, *, register: bytes | None = None, codec: Codec = Codec.MSGPACK
    ) -> Letter:
        """Bring an agent; what identity answers to it."""
        sealed = register or registration(key, self._world.platform, codec=codec)
        question = Attach(session=session, edge=self.context.instance, register=sealed)
        attached = (await ask(self.context, "identity", "attach", question)).body
        assert isinstance(attached, Attached)
        return unseal(attached.answer, REPLY_MAX_BYTES)

    async def detach(self, key: SigningKey, session: str) -> None:
        """A session ended."""
        await ask(self.context, "identity", "detach", Detach(did=key.did, session=session, edge=self.context.instance))

    async def hear(self, key: SigningKey) -> Heard:
        """What is pushed to an agent that this edge holds."""
        heard = Heard()
        await self.context.session.subscribe(subjects.inbox_live(key.token), heard.take)
        await self.context.session.barrier()
        return heard


class Agent:
    """An agent on NATS."""

    def __init__(self, world: World, key: SigningKey) -> None:
        self.key = key
        self.errors: list[str] = []
        self.closed = asyncio.Event()
        self.live = Heard()
        self._world = world

    async def connect(self) -> "Agent":
        """Log in."""
        self.session = await self._world.join(
            self.key,
            "agent",
            subjects.inbox_replies(self.key.token),
            forever=False,
            heals=False,
            on_closed=self.closed.set,
            on_error=lambda error: self.errors.append(str(error)),
        )
        await self.session.subscribe(subjects.inbox_live(self.key.token), self.live.take)
        await self.session.barrier()
        return self

    async def ask(self, body: Body, codec: Codec = Codec.MSGPACK) -> Body:
        """Send a proper request and verify the answer."""
        sealed = compose(body, self.key, self._world.platform, id_=new_id(), now_ms=now_ms(), codec=codec)
        subject = subjects.send(self.key.token, "identity", body.TYPE.lower())
        letter = unseal((await self.session.request(subject, sealed)).data, REPLY_MAX_BYTES)
        assert (self._world.platform, self.key.did) == (letter.envelope.sender, letter.envelope.recipient)
        return letter.body

    async def register(self, **says: Any) -> Registered:
        """Come online."""
        answer = await self.ask(Register(public_key=key_text_of(self.key.did), **says))
        assert isinstance(answer, Registered)
        return answer


def registration(key: SigningKey, platform: str, *, at_ms: int | None = None, codec: Codec = Codec.MSGPACK) -> bytes:
    """A sealed REGISTER."""
    body = Register(public_key=key_text_of(key.did), challenge="nonce")
    return compose(body, key, platform, id_=new_id(), now_ms=now_ms() if at_ms is None else at_ms, codec=codec)


def came(key: SigningKey, session: str | None = None) -> Callable[[Body], bool]:
    """Somebody is online, in this session where one is given."""
    return lambda body: (
        isinstance(body, Presence) and body.did == key.did and body.online and session in {None, body.session}
    )


def went(key: SigningKey, session: str | None = None) -> Callable[[Body], bool]:
    """Likewise, gone."""
    return lambda body: (
        isinstance(body, Presence) and body.did == key.did and not body.online and session in {None, body.session}
    )
