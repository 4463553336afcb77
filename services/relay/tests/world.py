"""A small world for the tests: a real server with all accounts, relay's replicas, and agents that come by an edge."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiconexus.protocol.bodies import Ack, Acked, Fetch, Mail, Message, Receipt, ReceiptItem
from aiconexus.protocol.seal import Codec, Letter, Sealed, unseal
from aiconexus.relay.service import serve
from aiconexus.relay.settings import RelaySettings
from aiconexus.runtime.context import Context
from aiconexus.runtime.testing import ANSWER_SECONDS, AgentWorld, Caller

PATIENCE_SECONDS = 10
QUICK = {"lease_seconds": 2.0, "sweep_seconds": 0.1}


class Agent(Caller):
    """An agent that sends mail and reads its own."""

    service, verb = "relay", "submit"

    def mail(self, to: "Agent", content: object = "hello", **options: Any) -> bytes:
        """A MESSAGE to somebody."""
        return self.sealed(Message(content=content), to.did, **options)

    async def submit(self, data: bytes, seconds: float = ANSWER_SECONDS) -> ReceiptItem:
        """Hand an envelope over that is taken."""
        body = (await self.request("submit", data, seconds)).body
        assert isinstance(body, Receipt), body
        return body.items[0]

    async def fetch(self, after: int = 0, limit: int = 100, codec: Codec = Codec.MSGPACK) -> Mail:
        """A page of the mailbox."""
        question = self.sealed(Fetch(after=after, limit=limit), self.service_did, codec=codec)
        body = (await self.request("fetch", question)).body
        assert isinstance(body, Mail), body
        return body

    async def ack(self, upto: int) -> Acked:
        """Be done with everything up to a sequence."""
        body = (await self.request("ack", self.sealed(Ack(upto=upto), self.service_did))).body
        assert isinstance(body, Acked), body
        return body


class World(AgentWorld[Agent]):
    """Keys, server and replicas of a test."""

    agent_type = Agent

    @property
    def relay_did(self) -> str:
        """Whom fetches and acks are addressed to."""
        return self.keys["relay"].did

    @asynccontextmanager
    async def relay(self, instance: str = "r1", **options: Any) -> AsyncIterator[Context[RelaySettings]]:
        """One replica at work."""
        seed = self.keys["relay"].seed
        settings = RelaySettings(nats_urls=(self.server.url,), seed=seed, directory_file="", **QUICK | options)
        context = await self.context("relay", instance, settings)
        async with serve(context):
            yield context


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
