"""What happens when no direct way is found: TURN after a while, on both ends, and the reason is kept."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from prometheus_client import REGISTRY
from tests.integration.direct_agents import incidents_of
from tests.integration.peers_by_hand import Hand, by_hand
from tests.integration.sdk_agents import SECONDS, Host, host_of
from tests.turn.coturn import Coturn

from aiconexus.cli.platform import Platform
from aiconexus.protocol import sdp
from aiconexus.protocol.signal_bodies import Answer, Offer
from aiconexus.sdk import Agent, Direct

pytestmark = pytest.mark.asyncio(loop_scope="module")

AFTER_SECONDS = 1.0
NOWHERE = "203.0.113.254"
"""An address of RFC 5737, where nobody answers."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform that names no TURN server: the agents know one."""
    home = tmp_path_factory.mktemp("platform") / "home"
    async with Platform(home, services=("identity", "relay", "signaling")) as platform:
        yield platform


@pytest_asyncio.fixture(loop_scope="module")
async def host(platform: Platform, tmp_path: Path) -> AsyncIterator[Host]:
    """Makes agents."""
    async with host_of(platform, tmp_path) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module")
async def alice(host: Host, tmp_path: Path) -> AsyncIterator[Agent]:
    """An agent with a TURN server, which is used after a second."""
    async with Coturn(tmp_path / "coturn") as server:
        direct = Direct(turn_after_seconds=AFTER_SECONDS, ice_servers=(server.server("udp", "alice"),))
        agent = await host.open(host.make(direct=direct))
        yield agent
        await agent.close()


@pytest_asyncio.fixture(loop_scope="module")
async def hand(host: Host) -> AsyncIterator[Hand]:
    """The other side, which cannot be reached at first."""
    hand = Hand(await host.open(host.make(direct=by_hand())))
    yield hand
    await hand.close()


def unreachable(text: str) -> str:
    """A description whose only candidate leads nowhere."""
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith("a=candidate")]
    candidate = f"a=candidate:1 1 udp 2130706431 {NOWHERE} 9 typ host\r\n"
    return "".join(candidate + line if line.startswith("a=end-of-candidates") else line for line in kept)


def kinds_of(text: str) -> set[str]:
    """What kinds of candidates a description has."""
    return set(re.findall(r" typ (\w+)", text))


async def answer_from_nowhere(hand: Hand, did: str) -> Offer:
    """Answer an offer as somebody who cannot be reached, and return the offer."""
    offer: Offer = await hand.signal(Offer)
    stranger = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await stranger.setRemoteDescription(RTCSessionDescription(unreachable(offer.sdp), "offer"))
    await stranger.setLocalDescription(await stranger.createAnswer())
    answer = unreachable(stranger.localDescription.sdp)
    await stranger.close()
    await hand.agent.signal(did, Answer(sdp=answer, session=offer.session, offer_hash=sdp.offer_hash(offer.sdp)))
    return offer


async def test_offerer_goes_on_with_turn(alice: Agent, hand: Hand) -> None:
    """No direct way within the time: the same peer gets another offer, with TURN, that replaces the first."""
    counted = REGISTRY.get_sample_value("webrtc_turn_fallback_total") or 0
    connecting = asyncio.create_task(alice.connect_to(hand.agent.did, timeout=SECONDS))
    first = await answer_from_nowhere(hand, alice.did)
    began = time.monotonic()
    second: Offer = await hand.signal(Offer)
    took = time.monotonic() - began
    hand.signals.put_nowait(Heard(second))  # type: ignore[arg-type]
    await hand.answer(alice.did)
    await hand.wait_open()
    hand.say(hand.hello("answerer"), alice.did)
    await connecting

    assert AFTER_SECONDS * 0.9 < took < AFTER_SECONDS + 3
    assert ("connect", "turn") == (first.reason, second.reason)
    assert first.session == second.replaces != second.session
    assert "relay" not in kinds_of(first.sdp)
    assert "relay" in kinds_of(second.sdp)
    noted = alice.incidents(event="turn_fallback")
    assert [(hand.agent.did, first.session)] == [(each.peer, each.session) for each in noted]
    assert "no direct way" in (noted[0].detail or "")
    assert counted + 1 == REGISTRY.get_sample_value("webrtc_turn_fallback_total")


async def test_answerer_goes_on_with_turn_if_the_offerer_does_not(alice: Agent, hand: Hand) -> None:
    """Both ends have the timer: an answerer that knows a TURN server offers it, after giving the other a second."""
    noted = incidents_of(alice)
    began = time.monotonic()
    await hand.offer(alice.did, unreachable)
    first = hand.session
    await hand.signal(Answer)
    second: Offer = await hand.signal(Offer)
    took = time.monotonic() - began
    await noted.wait_for("turn_fallback")

    assert AFTER_SECONDS < took < AFTER_SECONDS + 4
    assert ("turn", first) == (second.reason, second.replaces)
    assert "relay" in kinds_of(second.sdp)
    assert ["answerer: no direct way within 1 s"] == [each.detail for each in alice.incidents(event="turn_fallback")]


async def test_answer_to_an_offer_with_turn_uses_turn(alice: Agent, hand: Hand) -> None:
    """Whoever is offered TURN brings its own allocation along: one may be behind a NAT that needs both."""
    await hand.offer(alice.did, reason="turn")
    answer: Answer = await hand.signal(Answer)

    assert "relay" in kinds_of(answer.sdp)


async def test_missing_turn_server_is_told(host: Host, hand: Hand) -> None:
    """Where nobody could be asked to stand in between, the reason for the fallback that did not come says so."""
    bob = await host.open(host.make(direct=Direct(turn_after_seconds=AFTER_SECONDS, ice_servers=())))
    noted = incidents_of(bob)
    await hand.offer(bob.did, unreachable)
    await hand.signal(Answer)
    await noted.wait_for("turn_fallback")

    (incident,) = bob.incidents(event="turn_fallback")
    assert "answerer: no direct way within 1 s, and no TURN server is known" == incident.detail


class Heard:
    """A body that was read already, put back."""

    def __init__(self, body: Offer) -> None:
        self.body = body
