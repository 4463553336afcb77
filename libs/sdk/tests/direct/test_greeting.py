"""What may come before, with and right after HELLO."""

import os

import pytest

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.direct_errors import HelloRefused
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Codec
from aiconexus.sdk.direct.greeting import WAITING_MAX, Greeting
from aiconexus.sdk.direct.hello import ANSWERER, OFFERER
from aiconexus.sdk.voice import Voice

NOW = 1_800_000_000_000


def sdp(byte: str) -> str:
    """The least that a description needs."""
    return (
        f"v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=fingerprint:sha-256 {':'.join([byte] * 32)}\r\n"
    )


async def pair() -> tuple[Greeting, Greeting]:
    """Both ends of one session."""
    alice, bob = Voice(SigningKey(os.urandom(32))), Voice(SigningKey(os.urandom(32)))
    ours, theirs = Greeting(alice, bob.did, "s", OFFERER), Greeting(bob, alice.did, "s", ANSWERER)
    ours.bind(ours=sdp("AA"), theirs=sdp("BB"), offer=sdp("AA"))
    theirs.bind(ours=sdp("BB"), theirs=sdp("AA"), offer=sdp("AA"))
    return ours, theirs


async def test_hello_verifies() -> None:
    """The other side's HELLO is believed."""
    ours, theirs = await pair()
    hello = theirs.say(Codec.MSGPACK)
    ours.hear(hello, now_ms(), said=True)

    assert ours.verified.done()
    assert [] == ours.waiting()


async def test_early_hello_waits_for_us() -> None:
    """The other side may be ready before we are: its first message is kept, and checked then."""
    ours, theirs = await pair()
    ours.hear(theirs.say(Codec.JSON), now_ms(), said=False)
    assert not ours.verified.done()
    ours.hear_early(now_ms())

    assert ours.verified.done()


async def test_second_message_before_our_hello_is_refused() -> None:
    """Nobody may go on before both sides have greeted."""
    ours, _ = await pair()
    ours.hear(b"first", NOW, said=False)

    with pytest.raises(HelloRefused) as refused:
        ours.hear(b"second", NOW, said=False)
    assert refused.value.event == "hello_missing"


async def test_what_follows_at_once_is_kept_and_bounded() -> None:
    """Messages right behind the HELLO wait for the next turn of the loop, so many and no more."""
    ours, theirs = await pair()
    ours.hear(theirs.say(Codec.MSGPACK), now_ms(), said=True)
    frames = [str(number) for number in range(WAITING_MAX)]
    for frame in frames:
        ours.hear(frame, NOW, said=True)
    with pytest.raises(HelloRefused):
        ours.hear("one more", NOW, said=True)

    assert [*frames, "one more"] == ours.waiting()


async def test_nothing_is_believed_before_descriptions_are_known() -> None:
    """A HELLO without an offer and an answer means nothing."""
    voice = Voice(SigningKey(os.urandom(32)))
    greeting = Greeting(voice, voice.did, "s", OFFERER)

    with pytest.raises(HelloRefused):
        greeting.hear(b"hello", NOW, said=True)
    with pytest.raises(HelloRefused):
        greeting.say(Codec.MSGPACK)
