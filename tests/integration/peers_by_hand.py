"""
The direct path spoken by hand: a real agent that makes and answers offers itself, with a bare stack, and may lie.

What it says by default is what an honest agent says; a test changes one thing.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from tests.integration.sdk_agents import SECONDS
from tests.integration.strangers import sealed

from aiconexus.bus.clock import new_id
from aiconexus.protocol import frames, sdp
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.seal import unseal
from aiconexus.protocol.signal_bodies import Answer, Bye, Hello, Offer
from aiconexus.sdk import Agent, Delivery, Direct

Change = Callable[[str], str]
QUICK = Direct(connect_seconds=8.0, turn_after_seconds=6.0)
"""For who has to do with a hand that may never answer."""


def unchanged(text: str) -> str:
    """Leave it."""
    return text


def by_hand() -> Direct:
    """An agent that leaves signals to its handlers."""
    return Direct(enabled=False)


class Hand:
    """
    One end of one connection.

    Args:
        agent: In whose name; it must have been made with ``by_hand``.

    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.pc.createDataChannel(
            frames.LABEL, negotiated=True, id=frames.CHANNEL_ID, protocol=frames.PROTOCOL
        )
        self.session = new_id()
        self.offered = ""
        self.answered = ""
        self.frames: asyncio.Queue[bytes | str] = asyncio.Queue()
        self.signals: asyncio.Queue[Delivery] = asyncio.Queue()
        self.open = asyncio.Event()
        self.closed = asyncio.Event()
        self.channel.on("message", self.frames.put_nowait)
        self.channel.on("open", self.open.set)
        self.channel.on("close", self.closed.set)
        for type_ in ("OFFER", "ANSWER", "BYE", "ICE_CANDIDATE"):
            agent.on(type_)(self._keep)

    async def _keep(self, delivery: Delivery) -> None:
        self.signals.put_nowait(delivery)

    async def signal(self, type_: type[Body]) -> Any:
        """The next signal, which has to be of this type."""
        async with asyncio.timeout(SECONDS):
            delivery = await self.signals.get()
        assert isinstance(delivery.body, type_), delivery.body
        return delivery.body

    async def offer(self, did: str, change: Change = unchanged, **fields: Any) -> None:
        """Offer a connection."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.offered = change(self.pc.localDescription.sdp)
        await self.agent.signal(did, Offer(**{"sdp": self.offered, "session": self.session} | fields))

    async def take_answer(self) -> None:
        """Take the answer to it."""
        answer = await self.signal(Answer)
        self.answered = answer.sdp
        await self.pc.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))

    async def connect(self, did: str) -> None:
        """Offer a connection, up to its open channel."""
        await self.offer(did)
        await self.take_answer()
        await self.wait_open()

    async def answer(self, did: str, change: Change = unchanged, **fields: Any) -> None:
        """Wait for an offer, and answer it."""
        offer = await self.signal(Offer)
        self.offered, self.session = offer.sdp, offer.session
        await self.pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        self.answered = change(self.pc.localDescription.sdp)
        body = {"sdp": self.answered, "session": self.session, "offer_hash": sdp.offer_hash(self.offered)}
        await self.agent.signal(did, Answer(**body | fields))

    async def wait_open(self) -> None:
        """Wait until the system channel is open."""
        async with asyncio.timeout(SECONDS):
            await self.open.wait()

    def hello(self, role: str, /, **fields: Any) -> Hello:
        """What an honest agent says first."""
        ours, theirs = (self.offered, self.answered) if role == "offerer" else (self.answered, self.offered)
        body = {
            "session": self.session,
            "role": role,
            "fingerprints": (sdp.read_description(ours).required,),
            "peer_fingerprints": (sdp.read_description(theirs).required,),
            "offer_hash": sdp.offer_hash(self.offered),
        }
        return Hello(**body | fields)

    def say(self, body: Body, did: str, **fields: Any) -> None:
        """Put a signed envelope into the channel."""
        self.channel.send(sealed(self.agent.identity.key, body, did, **fields))

    async def heard(self) -> bytes | str:
        """The next message of the channel."""
        async with asyncio.timeout(SECONDS):
            return await self.frames.get()

    async def heard_hello(self) -> Hello:
        """The other side's HELLO."""
        body = unseal(await self.heard()).body  # type: ignore[arg-type]
        assert isinstance(body, Hello), body
        return body

    async def heard_bye(self) -> Bye:
        """The other side's BYE, through signaling."""
        bye: Bye = await self.signal(Bye)
        return bye

    async def close(self) -> None:
        """End."""
        await self.pc.close()
