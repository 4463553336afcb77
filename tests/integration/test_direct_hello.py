"""Attempts to deceive agents inside a direct channel: HELLOs that prove nothing, and what comes instead of one."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.direct_agents import Told, peers_of
from tests.integration.lies import BAD_HELLOS
from tests.integration.peers_by_hand import QUICK, Hand
from tests.integration.sdk_agents import SECONDS, Host
from tests.integration.signaling_played import WITHOUT_SIGNALING, Signaling
from tests.integration.strangers import sealed

from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.direct_errors import HelloRefused
from aiconexus.sdk import Agent
from aiconexus.sdk.direct.states import ConnectionState

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORM = {"services": WITHOUT_SIGNALING}


@pytest_asyncio.fixture(loop_scope="module")
async def alice(host: Host, signaling: Signaling) -> Agent:
    """Whom everybody tries to deceive."""
    return await host.open(host.make(direct=QUICK))


@pytest.mark.parametrize(("lie", "event"), BAD_HELLOS)
async def test_hello_that_does_not_fit_is_refused(alice: Agent, hand: Hand, lie: dict[str, Any], event: str) -> None:
    """Signed by the right key, but not the proof of this session: the connection ends."""
    await hand.connect(alice.did)
    hand.say(hand.hello("offerer", **lie), alice.did)
    await hand.heard_hello()
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert [event] == [each.event for each in alice.incidents()]
    assert alice.peers == {}


async def test_hello_of_another_did_is_refused(alice: Agent, hand: Hand) -> None:
    """Whoever signs the HELLO must be who signed the offer."""
    await hand.connect(alice.did)
    hand.channel.send(sealed(new_key(), hand.hello("offerer"), alice.did))
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert alice.incidents()[0].event == "hello_invalid"


async def test_hello_to_somebody_else_is_refused(alice: Agent, hand: Hand) -> None:
    """A HELLO that was meant for another agent proves nothing here."""
    await hand.connect(alice.did)
    hand.say(hand.hello("offerer"), new_key().did)
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"


@pytest.mark.parametrize("frame", [b"\x93\x01\xc4\x00\xc4\x00", b"", '["ping",1]', '{"id":1}', "nonsense"], ids=repr)
async def test_nothing_counts_before_hello(alice: Agent, hand: Hand, frame: bytes | str) -> None:
    """Whatever else comes first ends the connection, and is answered by nothing."""
    await hand.connect(alice.did)
    hand.channel.send(frame)
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert alice.peers == {}


async def test_mail_before_hello_is_not_delivered(alice: Agent, hand: Hand) -> None:
    """A signed envelope of the right peer does not count before its HELLO."""
    heard = Told()
    alice.on("MESSAGE")(heard)
    await hand.connect(alice.did)
    hand.say(Message(content="early"), alice.did)
    hand.say(hand.hello("offerer"), alice.did)
    await hand.heard_bye()

    assert [] == heard.facts
    assert "hello_missing" == alice.incidents()[0].event


async def test_missing_hello_is_not_waited_for_longer_than_its_time(alice: Agent, hand: Hand) -> None:
    """A channel that opens and stays silent is closed after the deadline."""
    connected = peers_of(alice)
    await hand.connect(alice.did)
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert "hello_missing" == alice.incidents()[0].event
    assert [] == connected.facts


async def test_honest_hand_is_connected(alice: Agent, hand: Hand) -> None:
    """The attacks above fail for what they change: unchanged, the same steps connect."""
    connected = peers_of(alice)
    await hand.connect(alice.did)
    hand.say(hand.hello("offerer"), alice.did)
    hello = await hand.heard_hello()
    await connected.wait(lambda peers: len(peers) == 1)

    assert hello == hand.hello("answerer")
    assert ConnectionState.CONNECTED == alice.peers[hand.agent.did].state


async def test_frames_that_are_none_end_the_connection(alice: Agent, hand: Hand) -> None:
    """A peer that was verified and then talks nonsense is noted once, and cut off after some."""
    connected = peers_of(alice)
    await hand.connect(alice.did)
    hand.say(hand.hello("offerer"), alice.did)
    await connected.wait(lambda peers: len(peers) == 1)
    for _ in range(40):
        hand.channel.send("nonsense")
    async with asyncio.timeout(SECONDS):
        await hand.closed.wait()

    assert 1 == len(alice.incidents(event="foreign_frame"))


async def test_no_hello_to_an_offerer_either(alice: Agent, hand: Hand) -> None:
    """The answerer stays silent: whoever asked learns that the proof is missing."""
    connecting = asyncio.create_task(alice.connect_to(hand.agent.did))
    await hand.answer(alice.did)
    await hand.wait_open()
    with pytest.raises(HelloRefused) as refused:
        await connecting

    assert refused.value.event == "hello_missing"
