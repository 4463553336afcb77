"""Attempts to deceive agents on the way to a direct connection, with real stacks on both ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.direct_agents import Told, incidents_of, peers_of
from tests.integration.forgeries import resealed
from tests.integration.peers_by_hand import Hand, by_hand
from tests.integration.sdk_agents import SECONDS, Host, host_of
from tests.integration.signaling_played import WITHOUT_SIGNALING, Signaling, playing
from tests.integration.strangers import sealed

from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.direct_errors import DescriptionRefused, HelloRefused
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.seal import Letter, wrap
from aiconexus.protocol.signal_bodies import Answer, Bye, Offer
from aiconexus.sdk import Agent, Direct
from aiconexus.sdk.direct.states import ConnectionState

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORM = {"services": WITHOUT_SIGNALING}
QUICK = Direct(connect_seconds=8.0, turn_after_seconds=6.0)


@pytest_asyncio.fixture(loop_scope="module")
async def host(platform: Platform, tmp_path: Path) -> AsyncIterator[Host]:
    """Makes agents."""
    async with host_of(platform, tmp_path) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="module")
async def signaling(platform: Platform) -> AsyncIterator[Signaling]:
    """The signaling service, which is ours."""
    async with playing(platform) as signaling:
        yield signaling


@pytest_asyncio.fixture(loop_scope="module")
async def alice(host: Host, signaling: Signaling) -> Agent:
    """Whom everybody tries to deceive."""
    return await host.open(host.make(direct=QUICK))


@pytest_asyncio.fixture(loop_scope="module")
async def hand(host: Host, signaling: Signaling) -> AsyncIterator[Hand]:
    """An agent that speaks by hand."""
    hand = Hand(await host.open(host.make(direct=by_hand())))
    yield hand
    await hand.close()


async def events_at_operators(signaling: Signaling, agent: Agent, event: str) -> None:
    """Wait until signaling was told."""
    async with asyncio.timeout(SECONDS):
        while (agent.did, event) not in [(sender, incident.event) for sender, incident in signaling.incidents]:
            signaling.heard.clear()
            await signaling.heard.wait()


def flipped(text: str) -> str:
    """Another certificate's SHA-256 fingerprint."""
    lines = text.splitlines(keepends=True)
    return "".join(
        line[:-4] + ("00" if line[-4:-2] != "00" else "11") + "\r\n" if "fingerprint:sha-256" in line else line
        for line in lines
    )


def without_fingerprints(text: str) -> str:
    """No fingerprint at all."""
    return "".join(line for line in text.splitlines(keepends=True) if "a=fingerprint" not in line)


def weakened(algorithm: str, length: int) -> Any:
    """Only a fingerprint by a hash function that proves nothing."""

    def change(text: str) -> str:
        return without_fingerprints(text) + f"a=fingerprint:{algorithm} {':'.join(['AB'] * length)}\r\n"

    return change


def contradicting(text: str) -> str:
    """Another fingerprint for the whole session than for its only part."""
    head, _, rest = text.partition("m=")
    return head + "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\nm=" + rest


LIES = [
    pytest.param(without_fingerprints, "fingerprint_missing", id="no fingerprint"),
    pytest.param(weakened("sha-1", 20), "fingerprint_weak", id="SHA-1"),
    pytest.param(weakened("md5", 16), "fingerprint_weak", id="MD5"),
    pytest.param(contradicting, "fingerprint_inconsistent", id="inconsistent"),
    pytest.param(lambda text: text.replace("m=application", "m=audio"), "offer_refused", id="no data channel"),
]


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


BAD_HELLOS = [
    pytest.param({"session": "another"}, "hello_invalid", id="another session"),
    pytest.param({"role": "answerer"}, "hello_invalid", id="our role"),
    pytest.param({"fingerprints": ()}, "fingerprint_mismatch", id="no fingerprints"),
    pytest.param(
        {"fingerprints": ("sha-256 " + ":".join(["AB"] * 32),)}, "fingerprint_mismatch", id="other fingerprints"
    ),
    pytest.param(
        {"peer_fingerprints": ("sha-256 " + ":".join(["AB"] * 32),)}, "fingerprint_mismatch", id="others for us"
    ),
    pytest.param({"offer_hash": bytes(32)}, "offer_hash_mismatch", id="another offer"),
]


@pytest.mark.parametrize(("lie", "event"), BAD_HELLOS)
async def test_hello_that_does_not_fit_is_refused(alice: Agent, hand: Hand, lie: dict[str, Any], event: str) -> None:
    """Signed by the right key, but not the proof of this session: the connection ends."""
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.say(hand.hello("offerer", **lie), alice.did)
    await hand.heard_hello()
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert [event] == [each.event for each in alice.incidents()]
    assert alice.peers == {}


async def test_hello_of_another_did_is_refused(alice: Agent, hand: Hand) -> None:
    """Whoever signs the HELLO must be who signed the offer."""
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.channel.send(sealed(new_key(), hand.hello("offerer"), alice.did))
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert alice.incidents()[0].event == "hello_invalid"


async def test_hello_to_somebody_else_is_refused(alice: Agent, hand: Hand) -> None:
    """A HELLO that was meant for another agent proves nothing here."""
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.say(hand.hello("offerer"), new_key().did)
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"


@pytest.mark.parametrize("frame", [b"\x93\x01\xc4\x00\xc4\x00", b"", '["ping",1]', '{"id":1}', "nonsense"], ids=repr)
async def test_nothing_counts_before_hello(alice: Agent, hand: Hand, frame: bytes | str) -> None:
    """Whatever else comes first ends the connection, and is answered by nothing."""
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.channel.send(frame)
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert alice.peers == {}


async def test_mail_before_hello_is_not_delivered(alice: Agent, hand: Hand) -> None:
    """A signed envelope of the right peer does not count before its HELLO."""
    heard = Told()
    alice.on("MESSAGE")(heard)
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.say(Message(content="early"), alice.did)
    hand.say(hand.hello("offerer"), alice.did)
    await hand.heard_bye()

    assert [] == heard.facts
    assert "hello_missing" == alice.incidents()[0].event


async def test_missing_hello_is_not_waited_for_longer_than_its_time(alice: Agent, hand: Hand) -> None:
    """A channel that opens and stays silent is closed after the deadline."""
    connected = peers_of(alice)
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    bye = await hand.heard_bye()

    assert bye.problem == "hello_refused"
    assert "hello_missing" == alice.incidents()[0].event
    assert [] == connected.facts


async def test_honest_hand_is_connected(alice: Agent, hand: Hand) -> None:
    """The attacks above fail for what they change: unchanged, the same steps connect."""
    connected = peers_of(alice)
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.say(hand.hello("offerer"), alice.did)
    hello = await hand.heard_hello()
    await connected.wait(lambda peers: len(peers) == 1)

    assert hello == hand.hello("answerer")
    assert ConnectionState.CONNECTED == alice.peers[hand.agent.did].state


async def test_frames_that_are_none_end_the_connection(alice: Agent, hand: Hand) -> None:
    """A peer that was verified and then talks nonsense is noted once, and cut off after some."""
    connected = peers_of(alice)
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.say(hand.hello("offerer"), alice.did)
    await connected.wait(lambda peers: len(peers) == 1)
    for _ in range(40):
        hand.channel.send("nonsense")
    async with asyncio.timeout(SECONDS):
        await hand.closed.wait()

    assert 1 == len(alice.incidents(event="foreign_frame"))


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


async def test_no_hello_to_an_offerer_either(alice: Agent, hand: Hand) -> None:
    """The answerer stays silent: whoever asked learns that the proof is missing."""
    connecting = asyncio.create_task(alice.connect_to(hand.agent.did))
    await hand.answer(alice.did)
    await hand.wait_open()
    with pytest.raises(HelloRefused) as refused:
        await connecting

    assert refused.value.event == "hello_missing"
