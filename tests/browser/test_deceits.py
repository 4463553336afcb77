"""What a page refuses of those who want to be taken for somebody else on the direct path."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiortc import RTCIceCandidate
from playwright.async_api import Browser
from tests.browser.visitor import SECONDS, Visitor, visiting
from tests.integration.lies import BAD_HELLOS, LIES, flipped
from tests.integration.peers_by_hand import Hand, by_hand
from tests.integration.sdk_agents import Host
from tests.integration.strangers import sealed

from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.signal_bodies import Bye, IceCandidate
from aiconexus.sdk import Agent, Delivery
from aiconexus.sdk.direct.stack import candidate_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSALS = "() => globalThis.refusals"
LISTEN = """() => {
  agent.addEventListener('refused', ({ detail: { error } }) => {
    globalThis.refusals.push(error.incident ?? error.problem);
  });
}"""


class TricklingHand(Hand):
    """One that takes candidates as they come, as pages send them."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self._early: list[RTCIceCandidate | None] = []

    async def _keep(self, delivery: Delivery) -> None:
        if not isinstance(delivery.body, IceCandidate):
            await super()._keep(delivery)
            return
        self._early += [candidate_of(each) for each in (delivery.body, *delivery.body.more)]  # type: ignore[arg-type]
        if self.pc.remoteDescription is not None:
            await self._take_early()

    async def take_answer(self) -> None:
        """Take the answer, and the candidates that came before it."""
        await super().take_answer()
        await self._take_early()

    async def _take_early(self) -> None:
        early, self._early = self._early, []
        for candidate in early:
            await self.pc.addIceCandidate(candidate)


@pytest_asyncio.fixture(loop_scope="module")
async def hand(host: Host) -> AsyncIterator[TricklingHand]:
    """An agent that speaks by hand."""
    hand = TricklingHand(await host.open(host.make(direct=by_hand())))
    yield hand
    await hand.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browser: Browser, site: str, platform: Platform) -> AsyncIterator[Visitor]:
    """A page that writes down what it refuses."""
    async with visiting(browser, site, platform.endpoints().ws) as visitor:
        await visitor.run(LISTEN)
        yield visitor


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(page: Visitor) -> Visitor:
    """The page, which has refused nothing yet."""
    await page.run("() => (globalThis.refusals = [])")
    return page


@pytest.mark.parametrize(("lie", "event"), LIES)
async def test_bad_offer_is_refused(visitor: Visitor, hand: TricklingHand, lie: Any, event: str) -> None:
    """An offer with fingerprints that prove nothing never reaches the browser's stack, and the offerer hears why."""
    await hand.offer(await visitor.did(), lie)
    bye = await hand.heard_bye()

    assert (hand.session, "description_refused") == (bye.session, bye.problem)
    assert [event] == await visitor.run(REFUSALS)


async def test_swapped_fingerprint_never_connects(visitor: Visitor, hand: TricklingHand) -> None:
    """A fingerprint that is not that of the certificate in the handshake ends it before a word is said."""
    await hand.offer(await visitor.did(), flipped)
    await hand.take_answer()
    bye = await hand.heard_bye()

    assert "hello_refused" == bye.problem
    assert ["fingerprint_mismatch"] == await visitor.run(REFUSALS)
    assert hand.frames.empty()


async def test_answer_to_another_offer_is_refused(visitor: Visitor, hand: TricklingHand) -> None:
    """The hash inside the answer binds it to the offer."""
    did = await visitor.did()
    connecting = asyncio.create_task(
        visitor.run("([did]) => agent.peers.connect(did).catch((error) => error.incident)", hand.agent.did)
    )
    await hand.answer(did, offer_hash=bytes(32))

    assert "offer_hash_mismatch" == await connecting


@pytest.mark.parametrize(("lie", "event"), BAD_HELLOS)
async def test_bad_hello_is_refused(visitor: Visitor, hand: TricklingHand, lie: dict[str, Any], event: str) -> None:
    """Signed by the right key, but not the proof of this session: the connection ends."""
    did = await visitor.did()
    await hand.connect(did)
    hand.say(hand.hello("offerer", **lie), did)
    bye = await hand.heard_bye()

    assert "hello_refused" == bye.problem
    assert [event] == await visitor.run(REFUSALS)


async def test_hello_of_another_did_is_refused(visitor: Visitor, hand: TricklingHand) -> None:
    """Whoever signs the HELLO must be who signed the offer."""
    did = await visitor.did()
    await hand.connect(did)
    hand.channel.send(sealed(new_key(), hand.hello("offerer"), did))
    bye = await hand.heard_bye()

    assert "hello_refused" == bye.problem


@pytest.mark.parametrize("frame", [b"\x93\x01\xc4\x00\xc4\x00", '["ping",1]', '{"id":1}', "nonsense"], ids=repr)
async def test_nothing_counts_before_hello(visitor: Visitor, hand: TricklingHand, frame: bytes | str) -> None:
    """Whatever else comes first ends the connection."""
    await hand.connect(await visitor.did())
    hand.channel.send(frame)
    bye: Bye = await hand.heard_bye()

    assert "hello_refused" == bye.problem


async def test_only_the_peer_speaks_in_its_channel(visitor: Visitor, hand: TricklingHand) -> None:
    """After an honest HELLO, envelopes of others and words that are none are refused; the peer's own are taken."""
    did = await visitor.did()
    await hand.connect(did)
    hand.say(hand.hello("offerer"), did)
    await hand.heard_hello()
    hand.channel.send(sealed(new_key(), Message(content="I am somebody else"), did))
    hand.say(Message(content="not for you"), new_key().did)
    hand.channel.send('["open the door"]')
    hand.say(Message(content="it is me"), did)
    async with asyncio.timeout(SECONDS):
        while '"taken"' not in str(await hand.heard()):
            continue

    assert ["it is me"] == await visitor.run("() => agent.lines.map((line) => line.content)")
    assert ["foreign_sender", "foreign_sender", "malformed"] == await visitor.run(REFUSALS)
