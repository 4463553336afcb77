"""What a peer that has proved who it is can do to an agent through their channel: end it, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiortc.rtcsctptransport import SCTP_DATA_FIRST_FRAG, DataChunk, RTCSctpTransport
from prometheus_client import REGISTRY
from tests.integration.direct_agents import incidents_of, peers_of
from tests.integration.peers_by_hand import Hand, by_hand
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.protocol.frames import Agree, Beat, Echo, read_word, write_word
from aiconexus.sdk import Agent, AgentState, Direct
from aiconexus.sdk.direct.stack import CHUNK_COST

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHUNKS = 200
"""Of so many that hold next to nothing is what a narrow agent keeps."""


@pytest_asyncio.fixture(loop_scope="module")
async def alice(request: pytest.FixtureRequest, host: Host) -> Agent:
    """Whom it is done to; a test may choose her settings."""
    return await host.open(host.make(direct=getattr(request, "param", None)))


@pytest_asyncio.fixture(loop_scope="module")
async def hand(host: Host, alice: Agent) -> AsyncIterator[Hand]:
    """A peer of hers that speaks by hand, and has proved who it is."""
    hand = Hand(await host.open(host.make(direct=by_hand())))
    told = peers_of(alice)
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.say(hand.hello("offerer"), alice.did)
    await told.wait(bool)
    await hand.heard_hello()
    yield hand
    await hand.close()


def sctp_of(hand: Hand) -> RTCSctpTransport:
    """Its association."""
    assert hand.pc.sctp is not None
    return hand.pc.sctp


async def heard(hand: Hand, beginning: str) -> str:
    """The next word of a kind."""
    while True:
        frame = await hand.heard()
        if isinstance(frame, str) and frame.startswith(beginning):
            return frame


async def test_stream_that_is_never_reset_does_not_end_the_agent(
    alice: Agent, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack refuses a second channel in it, so the peer is refused; the agent lives, and the connection, too."""

    async def hear_nothing(_: object) -> None:
        """Never reset a stream."""

    monkeypatch.setattr(sctp_of(hand), "_receive_reconfig_param", hear_nothing)
    hand.pc.createDataChannel("smuggled", id=7)
    hand.channel.send(write_word(Agree("wanted", 7, token="t", negotiated=True)))

    assert "channel_exists" in await heard(hand, '["channel_no"')
    assert AgentState.ONLINE is alice.state
    assert "direct" == alice.peers[hand.agent.did].road


async def test_many_streams_without_agreement_end_the_connection(alice: Agent, hand: Hand) -> None:
    """Each is closed; after some of them so is the connection, and one incident tells of all."""
    for number in range(1, 101):
        hand.pc.createDataChannel("smuggled", id=number)
    async with asyncio.timeout(SECONDS):
        await hand.closed.wait()

    assert 1 == len(alice.incidents(event="foreign_frame"))
    assert AgentState.ONLINE is alice.state


def endless(sctp: RTCSctpTransport, size: int) -> DataChunk:
    """The next piece of a message that has a beginning and no end."""
    fields: dict[str, Any] = {
        "flags": 0 if sctp._outbound_queue or sctp._sent_queue else SCTP_DATA_FIRST_FRAG,
        "tsn": sctp._local_tsn,
        "stream_id": 0,
        "stream_seq": sctp._outbound_stream_seq.get(0, 0),
        "protocol": 53,
        "user_data": bytes(size),
        "_book_size": size,
        "_expiry": None,
        "_max_retransmits": None,
        "_misses": 0,
        "_sent_count": 0,
        "_sent_time": None,
    }
    chunk = DataChunk()
    for name, value in (fields | dict.fromkeys(("_abandoned", "_acked", "_in_flight", "_retransmit"), False)).items():
        setattr(chunk, name, value)
    sctp._local_tsn = (sctp._local_tsn + 1) % 2**32
    return chunk


@pytest.mark.parametrize("alice", [Direct(incomplete_max_bytes=CHUNKS * CHUNK_COST)], ids=["narrow"], indirect=True)
async def test_message_without_an_end_ends_the_connection(alice: Agent, hand: Hand) -> None:
    """What the stack has to keep for a peer is bounded, in messages that it never ends as well."""
    noted = incidents_of(alice)
    sctp = sctp_of(hand)
    sctp._outbound_queue.extend(endless(sctp, 1) for _ in range(2 * CHUNKS))
    await sctp._transmit()
    await noted.wait_for("relay_fallback")

    assert "without an end" in str(alice.incidents(event="relay_fallback")[0].detail)
    assert AgentState.ONLINE is alice.state


@pytest.mark.parametrize("alice", [Direct(unsent_max_bytes=2_000)], ids=["narrow"], indirect=True)
async def test_peer_that_asks_and_does_not_listen_is_left(
    alice: Agent, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers to it are not piled up for ever."""
    noted = incidents_of(alice)
    sctp = sctp_of(hand)

    async def say_nothing() -> None:
        sctp._sack_needed = False

    monkeypatch.setattr(sctp, "_send_sack", say_nothing)
    for number in range(10_000):
        hand.channel.send(write_word(Beat(number)))
    await noted.wait_for("relay_fallback")

    assert "does not take" in str(alice.incidents(event="relay_fallback")[0].detail)
    assert AgentState.ONLINE is alice.state


async def test_answers_to_what_was_never_asked_measure_nothing(alice: Agent, hand: Hand) -> None:
    """A peer does not write our statistics."""
    labels = {"path": "direct"}
    before = REGISTRY.get_sample_value("webrtc_rtt_seconds_count", labels) or 0
    asked = read_word(await heard(hand, '["ping"')).number
    for number in (asked, asked, *range(1_000_000, 1_000_100)):
        hand.channel.send(write_word(Echo(number)))
    hand.channel.send(write_word(Beat(7)))
    await heard(hand, '["pong",7]')

    assert before + 1 == REGISTRY.get_sample_value("webrtc_rtt_seconds_count", labels)
    assert alice.peers[hand.agent.did].rtt_seconds is not None
