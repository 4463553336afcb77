"""What we know of the inside of aiortc and aioice still holds."""

import asyncio
import contextlib
import random
from typing import Any

import aioice.ice
import aioice.stun
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcsctptransport import DataChunk, RTCSctpTransport

from aiconexus.protocol import sdp
from aiconexus.protocol.direct_errors import DescriptionRefused
from aiconexus.protocol.signal_bodies import Candidate, IceServer
from aiconexus.sdk.direct import stack

SECONDS = 10.0
LINE = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


class Ends:
    """Two stacks with one channel."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.left = stack.make_stack((), relay_only=False, on_broken=self.broken.append)
        self.right = stack.make_stack((), relay_only=False, on_broken=self.broken.append)
        self.channel = self.left.createDataChannel("x", negotiated=True, id=0)
        self.mirror = self.right.createDataChannel("x", negotiated=True, id=0)
        self.open = asyncio.Event()
        self.channel.on("open", self.open.set)

    async def connect(self) -> None:
        """Bring them together."""
        await self.left.setLocalDescription(await self.left.createOffer())
        await self.right.setRemoteDescription(self.left.localDescription)
        await self.right.setLocalDescription(await self.right.createAnswer())
        await self.left.setRemoteDescription(self.right.localDescription)
        async with asyncio.timeout(SECONDS):
            await self.open.wait()

    async def close(self) -> None:
        """End both."""
        await asyncio.gather(self.left.close(), self.right.close())


@pytest.fixture
async def ends() -> Any:
    """Two that are connected."""
    ends = Ends()
    await ends.connect()
    yield ends
    await ends.close()


def test_checks_are_repeated_soon() -> None:
    """The constant that we set is the one that transactions read, and it is set once, here."""
    assert stack.RETRY_SECONDS == aioice.stun.RETRY_RTO
    assert "RETRY_RTO" in aioice.stun.Transaction.__init__.__code__.co_names


def test_consent_is_left_alone() -> None:
    """Shorter constants kill connections over slow links; the heartbeat is ours."""
    assert 5 == aioice.ice.CONSENT_INTERVAL
    assert 6 == aioice.ice.CONSENT_FAILURES


@pytest.mark.parametrize("name", ["_RTCPeerConnection__connect", "_RTCPeerConnection__createDtlsTransport"])
def test_overridden_names_exist(name: str) -> None:
    """What ``Stack`` overrides is there in its base, and called by it through that name."""
    assert name in vars(RTCPeerConnection)
    assert name in vars(stack.Stack)


async def test_pair_is_told(ends: Ends) -> None:
    """The candidates that ICE has chosen can be read, and these are not relayed."""
    pair = stack.pair_of(ends.left)

    assert pair is not None
    assert "host" == pair.local_type
    assert not stack.is_relayed(pair)


async def test_no_pair_before_there_is_one() -> None:
    """A stack that never connected has none, no acknowledgement, and nothing under way."""
    pc = stack.make_stack((), relay_only=False, on_broken=lambda _: None)

    assert stack.pair_of(pc) is None
    assert (0, 0) == (stack.acknowledged(pc), stack.outstanding(pc))
    await pc.close()


async def test_acknowledgements_are_seen(ends: Ends) -> None:
    """The number changes when the other side has acknowledged, and nothing is outstanding then."""
    before = stack.acknowledged(ends.left)
    heard = asyncio.Event()
    ends.mirror.on("message", lambda _: heard.set())
    ends.channel.send("hello")
    async with asyncio.timeout(SECONDS):
        await heard.wait()
        while stack.outstanding(ends.left):
            await asyncio.sleep(0.01)

    assert before != stack.acknowledged(ends.left)


async def test_sending_into_an_end_is_silent(ends: Ends, recwarn: pytest.WarningsRecorder) -> None:
    """A message on its way when the connection ends is lost, and no task complains of it."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    for _ in range(50):
        ends.channel.send(bytes(10_000))
    await ends.close()
    await asyncio.sleep(0)

    assert [] == complaints


async def test_end_while_connecting_is_silent() -> None:
    """A stack that is closed in the middle of everything leaves no complaint either."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    ends = Ends()
    await ends.left.setLocalDescription(await ends.left.createOffer())
    await ends.right.setRemoteDescription(ends.left.localDescription)
    await ends.right.setLocalDescription(await ends.right.createAnswer())
    await ends.left.setRemoteDescription(ends.right.localDescription)
    await asyncio.sleep(0)
    await ends.close()
    await asyncio.sleep(0)

    assert [] == complaints


async def test_fresh_certificates() -> None:
    """No two connections share a key."""
    ends = Ends()
    await ends.left.setLocalDescription(await ends.left.createOffer())
    await ends.right.setRemoteDescription(ends.left.localDescription)
    await ends.right.setLocalDescription(await ends.right.createAnswer())
    ours = sdp.read_description(ends.left.localDescription.sdp)
    theirs = sdp.read_description(ends.right.localDescription.sdp)
    await ends.close()

    assert set() == set(ours.fingerprints) & set(theirs.fingerprints)


async def test_relay_policy_gathers_nothing_without_turn() -> None:
    """No candidate tells where we are, even before we look."""
    pc = stack.make_stack((), relay_only=True, on_broken=lambda _: None)
    pc.createDataChannel("x")
    await pc.setLocalDescription(await pc.createOffer())

    assert "a=candidate" not in pc.localDescription.sdp
    await pc.close()


def test_no_server_of_the_stack_is_asked() -> None:
    """An empty list is an empty list."""
    server = IceServer(urls=("turn:192.0.2.1?transport=tcp",), username="u", credential="c")
    pc = stack.make_stack((server,), relay_only=False, on_broken=lambda _: None)
    configuration = pc._RTCPeerConnection__configuration  # type: ignore[attr-defined]

    assert [["turn:192.0.2.1?transport=tcp"]] == [each.urls for each in configuration.iceServers]


@pytest.mark.parametrize("mid", ["0", None])
def test_candidates_are_read(mid: str | None) -> None:
    """With a media id, or without."""
    candidate = stack.candidate_of(Candidate(candidate=LINE, sdp_mid=mid))

    assert candidate is not None
    assert ("192.0.2.1", 5000, "host", mid) == (candidate.ip, candidate.port, candidate.type, candidate.sdpMid)


def test_empty_candidate_is_the_end() -> None:
    """RFC 8838: an empty line ends the candidates, with or without its name."""
    assert stack.candidate_of(Candidate(candidate="")) is None
    assert stack.candidate_of(Candidate(candidate="candidate:")) is None


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "candidate:1 1 udp x 192.0.2.1 5 typ host",
        "candidate:1 1 udp 1 192.0.2.1 65536 typ host",
        "candidate:1 1 udp 1 192.0.2.1 -1 typ host",
        "a b c d e f g h",
    ],
)
def test_no_candidates(line: str) -> None:
    """What cannot be read is refused."""
    with pytest.raises(DescriptionRefused):
        stack.candidate_of(Candidate(candidate=line))


@pytest.mark.parametrize(
    "text", ["m=application", "v=0\r\nm=application x y z\r\n", "v=0\r\nm=application 9 x y\r\na=mid\r\n"]
)
async def test_what_the_parser_cannot_read_is_refused(text: str) -> None:
    """Its hand-written parser raises anything; we raise one thing."""
    pc = stack.make_stack((), relay_only=False, on_broken=lambda _: None)
    pc.createDataChannel("x", negotiated=True, id=0)

    with pytest.raises(DescriptionRefused) as refused:
        await stack.set_remote(pc, text, "offer")
    assert "offer_refused" == refused.value.event
    await pc.close()


@pytest.mark.parametrize("seed", range(150))
async def test_mutilated_descriptions_do_no_harm(seed: int) -> None:
    """Lines that are missing, doubled, cut off or exchanged: refused, answered, or a connection that never comes."""
    chance = random.Random(seed)
    offerer = stack.make_stack((), relay_only=False, on_broken=lambda _: None)
    offerer.createDataChannel("x")
    await offerer.setLocalDescription(await offerer.createOffer())
    lines = offerer.localDescription.sdp.splitlines()
    for _ in range(chance.randint(1, 4)):
        number, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        cut = lines[number][: chance.randrange(len(lines[number]) + 1)]
        lines[number] = chance.choice(["", lines[other], cut, lines[number].replace("1", "x")])
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    pc = stack.make_stack((), relay_only=False, on_broken=lambda _: None)
    pc.createDataChannel("y", negotiated=True, id=0)
    with contextlib.suppress(DescriptionRefused, *stack.STACK_ERRORS):
        await stack.set_remote(pc, "\r\n".join(line for line in lines if line) + "\r\n", "offer")
        await stack.set_local(pc)
        await asyncio.sleep(0)
    await asyncio.gather(pc.close(), offerer.close())
    await asyncio.sleep(0)

    assert [] == complaints


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("stun:192.0.2.1", ("stun", "192.0.2.1", 3478, "udp")),
        ("turn:example.org:80?transport=tcp", ("turn", "example.org", 80, "tcp")),
        ("turns:example.org", ("turns", "example.org", 5349, "tcp")),
        ("http://example.org", None),
        ("turn:", None),
    ],
)
def test_urls(url: str, parts: tuple[str, str, int, str] | None) -> None:
    """Those of RFC 7064 and RFC 7065 that the stack can use."""
    assert parts == stack.url_parts(url)


def test_association_has_what_we_read() -> None:
    """The names that we read of the association are set in it."""
    names = RTCSctpTransport.__init__.__code__.co_names

    read = {"_last_sacked_tsn", "_sent_queue", "_outbound_queue", "_data_channel_queue"}
    assert {*read, "_data_channels", "_inbound_streams"} <= set(names)


async def test_unfinished_messages_are_weighed() -> None:
    """What the stack keeps until the rest of a message comes, and what each piece costs it."""
    pc = stack.make_stack((), relay_only=False, on_broken=lambda reason: None)
    pc.createDataChannel("x")
    piece = DataChunk()
    piece.user_data = bytes(100)
    assert pc.sctp is not None
    pc.sctp._get_inbound_stream(3).add_chunk(piece)

    assert 100 + stack.CHUNK_COST == stack.incomplete_bytes(pc)
    await pc.close()
