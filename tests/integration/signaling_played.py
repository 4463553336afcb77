"""The signaling service, played by a test with its real key: it sees all that agents say before they are connected."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.integration.strangers import sealed

from aiconexus.bus.nkeys import seed_of
from aiconexus.bus.session import Incoming, Session
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.did import token_in
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Codec, Letter, unseal
from aiconexus.protocol.signal_bodies import IceServer, IceServers, Incident, ListServers, Noted

WITHOUT_SIGNALING = ("identity", "relay", "retry", "edge")

Tamper = Callable[[Letter, bytes], bytes | None]
"""What becomes of an envelope: other bytes, or None if it never arrives."""


def honest(_: Letter, data: bytes) -> bytes:
    """Pass on what came."""
    return data


class Signaling:
    """
    Forwards what agents say, and may do anything with it.

    Args:
        session: To the bus, as the service.
        key: Of the service.
        servers: What it names.

    """

    def __init__(self, session: Session, key: SigningKey, servers: tuple[IceServer, ...]) -> None:
        self.key = key
        self.servers = servers
        self.tamper: Tamper = honest
        self.passed: list[Letter] = []
        self.incidents: list[tuple[str, Incident]] = []
        self.heard = asyncio.Event()
        self._session = session

    async def take(self, incoming: Incoming) -> None:
        """Answer one request."""
        letter = unseal(incoming.data)
        match letter.body:
            case ListServers():
                await self._answer(incoming, letter, IceServers(servers=self.servers, expires_ms=2**53 - 1))
            case Incident() as incident:
                self.incidents.append((letter.envelope.sender, incident))
                await self._answer(incoming, letter, Noted(event=incident.event))
            case _:
                await self._forward(incoming, letter)
        self.heard.set()

    async def push(self, did: str, data: bytes) -> None:
        """Put anything before an agent."""
        await self._session.publish(subjects.inbox_live(token_in(did)), data)

    def said(self, type_: str) -> list[Letter]:
        """What agents said of one type, as they signed it."""
        return [letter for letter in self.passed if letter.envelope.type == type_]

    async def _forward(self, incoming: Incoming, letter: Letter) -> None:
        self.passed.append(letter)
        data = self.tamper(letter, incoming.data)
        recipient = letter.envelope.recipient
        if data is not None and recipient is not None:
            await self.push(recipient, data)
        item = ReceiptItem(id=letter.envelope.id, status=ReceiptStatus.DELIVERED)
        await self._answer(incoming, letter, Receipt(items=(item,)))

    async def _answer(self, incoming: Incoming, letter: Letter, body: Body) -> None:
        envelope = letter.envelope
        answer = sealed(self.key, body, envelope.sender, in_reply_to=envelope.id, codec=Codec(letter.sealed.codec))
        await self._session.publish(incoming.reply, answer)


@asynccontextmanager
async def playing(platform: Platform, *servers: IceServer) -> AsyncIterator[Signaling]:
    """Be the signaling service of a platform that has none, for the length of a block."""
    key = SigningKey(seed_of(platform.home.secret_file("signaling").read_text().strip())[1])
    session = await Session.connect(
        [platform.endpoints().nats], key, name="signaling", inbox_prefix=subjects.service_inbox("signaling")
    )
    try:
        signaling = Signaling(session, key, servers)
        await session.subscribe(subjects.sends_to("signaling"), signaling.take, queue="signaling")
        await session.barrier()
        yield signaling
    finally:
        await session.close()
