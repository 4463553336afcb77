"""Hostile agents on a WebSocket: handshakes that prove nothing, frames that are too much, readers that do not read."""

import os
from collections.abc import AsyncIterator, Callable

import aiohttp
import base58
import pytest
import pytest_asyncio
from tests.integration.forgeries import SMALL_ORDER, mail, prototype_did, resealed, small_order_did
from tests.integration.measuring import Meter
from tests.integration.processes import PAUSE_MAX_SECONDS, Traffic
from tests.integration.strangers import NativeStranger, SocketStranger, native, sealed, websocket

from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.edge.testing import BINARY, TEXT
from aiconexus.protocol.bodies import Error, Fetch, Mail, Message, Ping, Register
from aiconexus.protocol.closing import Close
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.seal import Codec, Sealed, split, wrap

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("bystanders")]

BURST = 100
PLATFORM = {
    "settings": {
        "AICONEXUS_EDGE_FRAMES_PER_SECOND": "50",
        "AICONEXUS_EDGE_FRAMES_BURST": str(BURST),
        "AICONEXUS_EDGE_OUTGOING_MAX_MESSAGES": "32",
        "AICONEXUS_RELAY_SENDER_RATE_PER_SECOND": "100",
        "AICONEXUS_RELAY_SENDER_BURST": str(2 * BURST),
    }
}

First = Callable[[SocketStranger], bytes]
"""Makes the first frame of a connection, as sealed bytes."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(platform: Platform) -> AsyncIterator[NativeStranger]:
    """Somebody with a mailbox."""
    async with native(platform.endpoints().nats) as stranger:
        yield stranger


@pytest.fixture(params=[BINARY, TEXT])
def protocol(request: pytest.FixtureRequest) -> str:
    """Both subprotocols."""
    found: str = request.param
    return found


def no_challenge(stranger: SocketStranger) -> bytes:
    """It does not repeat the nonce."""
    return stranger.registration(challenge=None)


def other_challenge(stranger: SocketStranger) -> bytes:
    """It repeats another connection's nonce, as a recorded REGISTER would."""
    return stranger.registration(challenge="A" * 32)


def other_key(stranger: SocketStranger) -> bytes:
    """It names the key of somebody else."""
    return stranger.registration(public_key=key_text_of(new_key().did))


def foreign_name(stranger: SocketStranger) -> bytes:
    """It names somebody else, with the own signature."""
    return resealed(stranger.key, stranger.registration(), from_=new_key().did)


def broken_signature(stranger: SocketStranger) -> bytes:
    """One bit of the signature is another."""
    data = stranger.registration()
    return data[:-1] + bytes([data[-1] ^ 1])


def prototype_name(stranger: SocketStranger) -> bytes:
    """It names itself as the source prototype did."""
    name = prototype_did(stranger.key.public_key)
    return resealed(stranger.key, stranger.registration(), from_=name)


def small_order_name(stranger: SocketStranger) -> bytes:
    """Its key has small order, and its signature is the one that fits everything."""
    key = base58.b58encode(SMALL_ORDER[1]).decode()
    parts = split(resealed(stranger.key, stranger.registration(public_key=key), from_=small_order_did()))
    return wrap(Sealed(parts.codec, parts.payload, SMALL_ORDER[1] + bytes(32)))


def other_platform(stranger: SocketStranger) -> bytes:
    """It registers with somebody else."""
    return resealed(stranger.key, stranger.registration(), to=stranger.services["relay"])


def mail_first(stranger: SocketStranger) -> bytes:
    """It does not register at all."""
    return mail(stranger.key, new_key().did, stranger.codec)


def other_version(stranger: SocketStranger) -> bytes:
    """It speaks another version."""
    return resealed(stranger.key, stranger.registration(), version="2.0" if stranger.codec is Codec.JSON else 2)


def old(stranger: SocketStranger) -> bytes:
    """It was made two minutes ago."""
    body = Register(public_key=key_text_of(stranger.key.did), challenge=stranger.nonce)
    made = sealed(stranger.key, body, stranger.services["identity"], codec=stranger.codec)
    if stranger.codec is Codec.JSON:
        return resealed(stranger.key, made, timestamp="2020-01-01T00:00:00.000Z")
    return resealed(stranger.key, made, created_ms=1_577_836_800_000)


HANDSHAKES: dict[First, tuple[str, Close]] = {
    no_challenge: ("invalid_signature", Close.INVALID_SIGNATURE),
    other_challenge: ("invalid_signature", Close.INVALID_SIGNATURE),
    other_key: ("malformed", Close.MALFORMED),
    foreign_name: ("invalid_signature", Close.INVALID_SIGNATURE),
    broken_signature: ("invalid_signature", Close.INVALID_SIGNATURE),
    prototype_name: ("invalid_did", Close.MALFORMED),
    small_order_name: ("invalid_did", Close.MALFORMED),
    other_platform: ("malformed", Close.MALFORMED),
    mail_first: ("unsupported_type", Close.MALFORMED),
    other_version: ("unsupported_version", Close.UNSUPPORTED),
    old: ("stale", Close.REFUSED),
}


@pytest.mark.parametrize("case", HANDSHAKES.items(), ids=[first.__name__ for first in HANDSHAKES])
async def test_handshake_that_proves_nothing_is_refused(
    platform: Platform, meter: Meter, protocol: str, case: tuple[First, tuple[str, Close]]
) -> None:
    """Who does not prove the key that it names, on this connection, hears why, is counted, and is shut out."""
    first, (problem, close) = case
    before = await meter.count("edge", "aiconexus_edge_handshakes_total", outcome=problem)
    async with websocket(platform.endpoints().ws, protocol=protocol, register=False) as stranger:
        await stranger.send(first(stranger))
        told = await stranger.told()

    assert ({problem}, close) == (told.problems, told.code)
    assert before + 1 == await meter.count("edge", "aiconexus_edge_handshakes_total", outcome=problem)


@pytest.mark.parametrize("frame", [b"", b"\x00", b"{}", b"[" * 50_000, b'{"a":' * 20_000, os.urandom(500), b"\x93\x01"])
async def test_garbage_before_a_handshake_ends_it(platform: Platform, protocol: str, frame: bytes) -> None:
    """Bytes that are no envelope end the connection, and nobody is told what is wrong with them."""
    async with websocket(platform.endpoints().ws, protocol=protocol, register=False) as stranger:
        await stranger.send_raw(frame)

        assert Close.MALFORMED == (await stranger.ending())[0]


@pytest.mark.parametrize("frame", [b"", b"\x00", b"{}", b"[" * 50_000, b'{"a":' * 10_000, os.urandom(500), b"\x93\x01"])
async def test_garbage_after_a_handshake_is_answered(platform: Platform, protocol: str, frame: bytes) -> None:
    """A registered agent hears that its bytes are no envelope, and goes on."""
    async with websocket(platform.endpoints().ws, protocol=protocol) as stranger:
        await stranger.send_raw(frame)
        answer = (await stranger.next()).body
        pong = await stranger.exchange(stranger.sealed(Ping(sequence=7), stranger.services["edge"]))

    assert isinstance(answer, Error)
    assert ("malformed", "MALFORMED_MESSAGE") == (answer.problem, answer.code)
    assert "PONG" == pong.envelope.type


async def test_too_many_mistakes_end_the_connection(platform: Platform, protocol: str) -> None:
    """Who goes on sending garbage is shown out."""
    async with websocket(platform.endpoints().ws, protocol=protocol) as stranger:
        for _ in range(40):
            await stranger.send_raw(b"garbage")

        assert Close.MALFORMED == (await stranger.ending())[0]


async def test_frame_of_the_wrong_kind_ends_the_connection(platform: Platform, protocol: str) -> None:
    """Text on a binary connection, and the other way round, is no misunderstanding."""
    async with websocket(platform.endpoints().ws, protocol=protocol) as stranger:
        if protocol == BINARY:
            await stranger.socket.send_str("{}")
        else:
            await stranger.socket.send_bytes(b"\x93\x01\xa0\xa0")

        assert Close.MALFORMED == (await stranger.ending())[0]


async def test_huge_frame_ends_the_connection(platform: Platform, protocol: str) -> None:
    """A frame beyond every limit is not read to its end."""
    async with websocket(platform.endpoints().ws, protocol=protocol) as stranger:
        await stranger.send_raw(b"x" * 300_000)

        assert Close.TOO_LARGE == (await stranger.ending())[0]


@pytest.mark.parametrize("protocols", [[], ["chat"], ["ioap.v2", "aiconexus.v9"]])
async def test_other_subprotocol_is_refused(platform: Platform, protocols: list[str]) -> None:
    """A WebSocket that speaks nothing that we speak is refused over HTTP."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(platform.endpoints().ws, protocols=protocols)

    assert 400 == refusal.value.status


async def test_foreign_origin_is_refused(platform: Platform) -> None:
    """A web page that was not allowed cannot open a WebSocket in the name of who visits it."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(platform.endpoints().ws, protocols=[BINARY], origin="https://evil.example")

    assert 403 == refusal.value.status


async def test_recorded_frames_are_worthless_elsewhere(
    platform: Platform, meter: Meter, victim: NativeStranger, protocol: str
) -> None:
    """What an agent sent on its connection is refused on everybody else's."""
    before = await meter.security("foreign_sender")
    url = platform.endpoints().ws
    async with websocket(url, protocol=protocol) as honest, websocket(url, protocol=protocol) as hostile:
        recorded = [
            honest.sealed(Message(content="hello"), victim.key.did),
            honest.sealed(Fetch(), honest.services["relay"]),
            honest.sealed(Ping(sequence=1), honest.services["edge"]),
        ]
        problems = [getattr((await hostile.exchange(data)).body, "problem", None) for data in recorded]

    assert ["foreign_sender"] * 3 == problems
    assert before + 3 == await meter.security("foreign_sender")


async def test_request_is_answered_once(platform: Platform, protocol: str) -> None:
    """A request that was answered is refused the second time, also on the agent's next connection."""
    url, key = platform.endpoints().ws, new_key()
    async with websocket(url, key, protocol=protocol) as stranger:
        data = stranger.sealed(Fetch(), stranger.services["relay"])
        first, second = await stranger.exchange(data), await stranger.exchange(data)
    async with websocket(url, key, protocol=protocol) as stranger:
        third = await stranger.exchange(data)

    assert isinstance(first.body, Mail)
    assert ["replayed"] * 2 == [getattr(answer.body, "problem", None) for answer in (second, third)]


async def test_flood_ends_the_connection(platform: Platform, meter: Meter, victim: NativeStranger) -> None:
    """Who sends faster than it may is told so, and then shown out with a code that says why."""
    before = await meter.count("edge", "aiconexus_edge_closes_total", code=str(int(Close.TOO_FAST)))
    async with websocket(platform.endpoints().ws) as stranger:
        for _ in range(3 * BURST):
            await stranger.send(mail(stranger.key, victim.key.did, Codec.MSGPACK))
        told = await stranger.told()

    assert {"rate_limited"} == told.problems
    assert Close.TOO_FAST == told.code
    await meter.until("edge", "aiconexus_edge_closes_total", code=str(int(Close.TOO_FAST)), at_least=before + 1)


async def test_flood_on_nats_is_refused_then_ignored(platform: Platform, meter: Meter, victim: NativeStranger) -> None:
    """Who hands the relay more than it may is told when to come again, and in the end is not even answered."""
    refused = await meter.problems("rate_limited")
    async with native(platform.endpoints().nats) as stranger:
        inbox = stranger.session.new_inbox()
        heard = await stranger.hear(inbox)
        for _ in range(6 * BURST):
            await stranger.tell("relay", "submit", mail(stranger.key, victim.key.did, Codec.MSGPACK), inbox)
        await stranger.session.barrier()
        await meter.until("relay", "aiconexus_relay_envelopes_ignored_total", at_least=BURST / 2)

    assert refused + BURST / 2 < await meter.problems("rate_limited")
    assert not heard.empty()


async def test_slow_reader_is_cut_off_and_loses_nothing(platform: Platform, meter: Meter) -> None:
    """Who does not read is cut off before it costs the edge its memory; its mail waits for it."""
    slow = str(int(Close.SLOW_READER))
    before = await meter.count("edge", "aiconexus_edge_closes_total", code=slow)
    key = new_key()
    url = platform.endpoints().ws
    async with native(platform.endpoints().nats) as sender:
        async with websocket(url, key, receive_buffer=4096):
            for _ in range(150):
                assert "RECEIPT" == (await sender.say(Message(content="x" * 60_000), key.did)).envelope.type
                if await meter.count("edge", "aiconexus_edge_closes_total", code=slow) > before:
                    break
            await meter.until("edge", "aiconexus_edge_closes_total", code=slow, at_least=before + 1)
        async with native(platform.endpoints().nats, key) as reader:
            page = (await reader.ask("relay", "fetch", sealed(key, Fetch(), reader.services["relay"]))).body

    assert isinstance(page, Mail)
    assert 30 < len(page.items) + page.pending


async def test_honest_agents_were_not_disturbed(bystanders: Traffic) -> None:
    """All the while honest mail was accepted and processed: all of it, once, in order, without a long pause."""
    verdict = await bystanders.settle()

    assert {} == verdict.violations
    assert 0 < verdict.attempted == verdict.processed
    assert PAUSE_MAX_SECONDS > max(verdict.producer_gap_seconds, verdict.consumer_gap_seconds)
