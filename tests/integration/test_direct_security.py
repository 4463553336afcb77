"""Attempts to deceive agents on the way to a direct connection, with real stacks on both ends."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.direct_agents import Told, incidents_of
from tests.integration.forgeries import resealed
from tests.integration.lies import LIES, flipped
from tests.integration.peers_by_hand import QUICK, Hand
from tests.integration.sdk_agents import SECONDS, Host
from tests.integration.signaling_played import WITHOUT_SIGNALING, Signaling
from tests.integration.strangers import sealed

from aiconexus.bus.testing import new_key
from aiconexus.protocol.direct_errors import DescriptionRefused
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.seal import Letter, wrap
from aiconexus.protocol.signal_bodies import Answer, Bye, Offer
from aiconexus.sdk import Agent, Direct

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORM = {"services": WITHOUT_SIGNALING}


@pytest_asyncio.fixture(loop_scope="module")
async def alice(host: Host, signaling: Signaling) -> Agent:
    """Whom everybody tries to deceive."""
    return await host.open(host.make(direct=QUICK))


async def events_at_operators(signaling: Signaling, agent: Agent, event: str) -> None:
    """Wait until signaling was told."""
    async with asyncio.timeout(SECONDS):
        while (agent.did, event) not in [(sender, incident.event) for sender, incident in signaling.incidents]:
            signaling.heard.clear()
            await signaling.heard.wait()


@pytest.mark.parametrize(("lie", "event"), LIES)
async def test_offers_with_bad_fingerprints_are_refused(
    alice: Agent, hand: Hand, signaling: Signaling, lie: Any, event: str
) -> None:
    """They never reach the stack, the offerer is told, and the operator, too."""
    await hand.offer(alice.did, lie)
    bye = await hand.heard_bye()

    assert bye.problem == "description_refused"
    assert bye.session == hand.session
    assert alice.peers == {}
    assert alice.incidents(event=event)[0].peer == hand.agent.did
    await events_at_operators(signaling, alice, event)


@pytest.mark.parametrize(("lie", "event"), LIES)
async def test_answers_with_bad_fingerprints_are_refused(alice: Agent, hand: Hand, lie: Any, event: str) -> None:
    """Whoever asked learns it, and no stack saw it."""
    connecting = asyncio.create_task(alice.connect_to(hand.agent.did))
    await hand.answer(alice.did, lie)
    with pytest.raises(DescriptionRefused) as refused:
        await connecting

    assert refused.value.event == event
    assert alice.peers == {}
    assert [event] == [each.event for each in alice.incidents()]


@pytest.mark.parametrize("side", ["offerer", "answerer"])
async def test_swapped_fingerprint_never_connects(alice: Agent, hand: Hand, side: str) -> None:
    """A fingerprint that is not that of the certificate in the handshake ends in failure, on both sides."""
    connecting = asyncio.create_task(alice.connect_to(hand.agent.did)) if side == "answerer" else None
    noted = incidents_of(alice)
    if connecting is None:
        await hand.offer(alice.did, flipped)
        await hand.take_answer()
    else:
        await hand.answer(alice.did, flipped)
    await noted.wait_for("connection_failed")

    assert alice.peers == {}
    assert hand.frames.empty()
    if connecting is not None:
        await asyncio.wait({connecting})
        assert connecting.exception() is not None


async def test_answer_to_another_offer_is_refused(alice: Agent, hand: Hand) -> None:
    """The hash inside the answer binds it to the offer."""
    connecting = asyncio.create_task(alice.connect_to(hand.agent.did))
    await hand.answer(alice.did, offer_hash=bytes(32))
    with pytest.raises(DescriptionRefused) as refused:
        await connecting

    assert refused.value.event == "offer_hash_mismatch"
    assert alice.peers == {}


async def test_answer_without_an_offer_hash_is_refused(alice: Agent, hand: Hand) -> None:
    """An answer that does not say to what is none."""
    connecting = asyncio.create_task(alice.connect_to(hand.agent.did))
    await hand.answer(alice.did, offer_hash=None)
    with pytest.raises(DescriptionRefused):
        await connecting


async def test_forged_offer_is_ignored(alice: Agent, hand: Hand, signaling: Signaling) -> None:
    """Signaling pushes an offer in somebody's name without that key: nothing happens but a note."""
    noted = incidents_of(alice)
    genuine = sealed(hand.agent.identity.key, Offer(sdp="v=0", session="s"), alice.did)
    await signaling.push(alice.did, resealed(new_key(), genuine))
    await noted.wait_for("signature_invalid")

    assert alice.peers == {}
    assert hand.signals.empty()


async def test_replayed_offer_is_answered_once(alice: Agent, hand: Hand, signaling: Signaling) -> None:
    """Signaling repeats a genuine offer: the second one is dropped."""
    errors = Told()
    alice.on_error(lambda error: errors(type(error).__name__))
    signaling.tamper = lambda letter, data: data
    await hand.offer(alice.did)
    await hand.take_answer()
    offer = next(letter for letter in signaling.said("OFFER") if letter.envelope.sender == hand.agent.did)
    await signaling.push(alice.did, wrap(offer.sealed))
    await errors.wait_for("ReplayedEnvelope")

    assert hand.signals.empty()


async def test_man_in_the_middle_with_his_own_key_is_not_the_peer(
    host: Host, alice: Agent, hand: Hand, signaling: Signaling
) -> None:
    """
    Signaling answers in the peer's place with its own connection and its own signature.

    The offer went to the peer; an answer that anybody else signed belongs to no session of ours.
    """
    bob = await host.open(host.make(direct=QUICK))
    offers: asyncio.Queue[Letter] = asyncio.Queue()

    def divert(letter: Letter, data: bytes) -> bytes | None:
        if letter.envelope.type == "OFFER" and letter.envelope.recipient == bob.did:
            offers.put_nowait(letter)
            return None
        return data

    signaling.tamper = divert
    connecting = asyncio.create_task(alice.connect_to(bob.did, timeout=3.0))
    async with asyncio.timeout(SECONDS):
        offer = (await offers.get()).body
    assert isinstance(offer, Offer)
    hand.signals.put_nowait(Delivered(offer))  # type: ignore[arg-type]
    await hand.answer(alice.did)
    with pytest.raises(Exception, match="offering"):
        await connecting

    assert hand.frames.empty()
    assert bob.peers == {}


class Delivered:
    """An intercepted body, as a delivery."""

    def __init__(self, body: Any) -> None:
        self.body = body


async def test_man_in_the_middle_cannot_put_his_fingerprint_into_a_signed_offer(
    host: Host, alice: Agent, signaling: Signaling
) -> None:
    """Signaling swaps descriptions inside envelopes that it cannot sign: nothing arrives, the recipient notes it."""
    bob = await host.open(host.make(direct=QUICK))
    noted = incidents_of(bob)

    def swap(letter: Letter, data: bytes) -> bytes:
        if not isinstance(letter.body, Offer):
            return data
        other = Offer(sdp=flipped(letter.body.sdp), session=letter.body.session)
        return resealed(new_key(), sealed(new_key(), other, bob.did), from_=alice.did)

    signaling.tamper = swap
    with pytest.raises(Exception, match="offering"):
        await alice.connect_to(bob.did, timeout=2.0)

    await noted.wait_for("signature_invalid")
    assert bob.peers == {}


async def test_mixed_sessions_do_not_connect(host: Host, alice: Agent, signaling: Signaling) -> None:
    """Signaling hands over the genuine answer of another session: the session and the offer hash give it away."""
    bob = await host.open(host.make(direct=QUICK))
    answers: list[bytes] = []

    def keep(letter: Letter, data: bytes) -> bytes | None:
        if letter.envelope.type != "ANSWER":
            return data
        answers.append(data)
        return None if len(answers) == 1 else answers[0]

    signaling.tamper = keep
    with pytest.raises(Exception, match="offering"):
        await alice.connect_to(bob.did, timeout=1.0)
    with pytest.raises(Exception, match=r"closed|offering|unexpected"):
        await alice.connect_to(bob.did, timeout=5.0)

    assert "relay" == getattr(alice.peer(bob.did), "road", "relay")


async def test_answer_to_nobody_changes_nothing(alice: Agent, hand: Hand) -> None:
    """Answers, candidates and farewells of strangers are dropped."""
    for body in (Answer(sdp="v=0", session="s", offer_hash=bytes(32)), Bye(session="s")):
        await hand.agent.signal(alice.did, body)
    await hand.offer(alice.did)
    await hand.take_answer()

    assert hand.answered


async def test_too_many_offers_are_refused(alice: Agent, hand: Hand) -> None:
    """Each offer costs a certificate and sockets: ten at once, then the offerer is told to wait."""
    body = Offer(sdp="v=0", session="s")
    byes = []
    for _ in range(12):
        await hand.agent.signal(alice.did, body)
        byes.append((await hand.heard_bye()).problem)

    assert ["description_refused"] * 10 + ["rate_limited"] * 2 == byes


async def test_policy_of_the_application_is_asked(host: Host, hand: Hand, signaling: Signaling) -> None:
    """``accept`` says no: the offerer is told at once, and nothing was opened."""
    asked = Told()

    def accept(did: str) -> bool:
        asked(did)
        return False

    bob = await host.open(host.make(direct=Direct(accept=accept)))
    await hand.offer(bob.did)
    bye = await hand.heard_bye()

    assert bye.problem == "refused"
    assert [hand.agent.did] == asked.facts
    assert bob.peers == {}


def nobody(did: str) -> bool:
    """Accept nobody."""
    return False


async def test_refusal_is_told_to_who_asked(host: Host, alice: Agent) -> None:
    """connect_to ends with what the peer said, long before any deadline."""
    bob = await host.open(host.make(direct=Direct(accept=nobody)))
    async with asyncio.timeout(2.0):
        with pytest.raises(RemoteProblem) as refused:
            await alice.connect_to(bob.did)

    assert refused.value.error.problem == "refused"
