"""The begin and the end of connections: who takes leave is gone, however far the way had come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioice.ice
import pytest
import pytest_asyncio
from aioice import stun
from tests.integration.direct_agents import Told, connected, incidents_of
from tests.integration.peers_by_hand import Hand, by_hand
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.protocol.direct_errors import ConnectionFailed
from aiconexus.protocol.limits import CANDIDATES_MAX
from aiconexus.protocol.signal_bodies import Bye, IceServer
from aiconexus.sdk import Direct
from aiconexus.sdk.direct.states import ConnectionState, IceState

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def hand(host: Host) -> AsyncIterator[Hand]:
    """An agent that speaks by hand."""
    hand = Hand(await host.open(host.make(direct=by_hand())))
    yield hand
    await hand.close()


class Server(asyncio.DatagramProtocol):
    """Something at the address of a STUN or TURN server."""

    transport: Any

    def __init__(self) -> None:
        self.answers = False
        self.heard = asyncio.Event()
        self.asked_for_room = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.set()
        request = stun.parse_message(data)
        if request.message_method == stun.Method.ALLOCATE:
            self.asked_for_room.set()
        if self.answers and request.message_method == stun.Method.BINDING:
            answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
            self.transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def server() -> AsyncIterator[tuple[Server, int]]:
    """One on a free port."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield protocol, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def test_offer_that_was_taken_back_is_not_answered(host: Host, hand: Hand) -> None:
    """Whoever leaves while the other side still looks for servers hears no more of it, and is not waited for."""
    async with server() as (silent, port):
        direct = Direct(ice_servers=(IceServer(urls=(f"stun:127.0.0.1:{port}",)),))
        alice = await host.open(host.make(direct=direct))
        noted = incidents_of(alice)
        await hand.offer(alice.did)
        async with asyncio.timeout(SECONDS):
            await silent.heard.wait()
        await hand.agent.signal(alice.did, Bye(session=hand.session))
        await noted.wait_for("connection_failed")

    assert {} == alice.peers
    bye = await hand.heard_bye()
    assert (hand.session, "connection_failed") == (bye.session, bye.problem)


def with_turn(port: int) -> Direct:
    """The settings of an agent that knows a TURN server."""
    url = f"turn:127.0.0.1:{port}?transport=udp"
    return Direct(ice_servers=(IceServer(urls=(url,), username="a", credential="b"),))


def without_candidates(text: str) -> str:
    """A description that leads nowhere."""
    honest = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("a=candidate:"))
    return honest.replace("a=ice-ufrag", "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=ice-ufrag", 1)


async def test_who_has_left_is_not_asked_again_with_turn(host: Host, hand: Hand) -> None:
    """A BYE without a problem is the end, also where a TURN server might have helped."""
    async with server() as (turn, port):
        turn.answers = True
        alice = await host.open(host.make(direct=with_turn(port)))
        checking = Told()

        def watched(text: str) -> str:
            alice.peers[hand.agent.did].on_ice_state(checking)
            return without_candidates(text)

        connecting = asyncio.create_task(alice.connect_to(hand.agent.did))
        await hand.answer(alice.did, watched)
        await checking.wait_for(IceState.CHECKING)
        await hand.agent.signal(alice.did, Bye(session=hand.session, reason="enough"))
        with pytest.raises(ConnectionFailed, match="enough"):
            await connecting

    assert {} == alice.peers
    assert hand.signals.empty()


async def test_who_gives_up_while_we_gather_is_heard(host: Host, hand: Hand) -> None:
    """What ended a try is told, and not that something else was not expected after its end."""
    async with server() as (turn, port):
        turn.answers = True
        alice = await host.open(host.make(direct=with_turn(port)))
        noted = incidents_of(alice)
        await hand.offer(alice.did, reason="turn")
        async with asyncio.timeout(SECONDS):
            await turn.asked_for_room.wait()
        await hand.agent.signal(alice.did, Bye(session=hand.session, reason="enough", problem="connection_failed"))
        await noted.wait_for("connection_failed")

    (incident,) = alice.incidents(event="connection_failed")
    assert (hand.session, True) == (incident.session, "enough" in (incident.detail or ""))
    assert {} == alice.peers


async def test_channel_that_is_closed_right_behind_its_hello_leaves_nothing(host: Host, hand: Hand) -> None:
    """It takes no peer's place for ever, whatever its other end does not do to end it."""
    alice = await host.open(host.make())
    noted = incidents_of(alice)
    await hand.offer(alice.did)
    await hand.take_answer()
    await hand.wait_open()
    hand.say(hand.hello("offerer"), alice.did)
    hand.channel.close()
    await noted.wait(bool)

    assert {} == alice.peers


async def test_ice_of_a_peer_that_is_closed_is_closed(host: Host) -> None:
    """Both ends are told so, and see it afterwards."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    peers = await connected(alice, bob)
    told = Told(), Told()
    for peer, each in zip(peers, told, strict=True):
        peer.on_ice_state(each)
    await peers[0].close()

    for peer, each in zip(peers, told, strict=True):
        await each.wait_for(IceState.CLOSED)
        assert (ConnectionState.CLOSED, IceState.CLOSED) == (peer.state, peer.ice_state)
        assert 1 == each.facts.count(IceState.CLOSED)


async def test_machine_with_more_addresses_than_a_description_takes(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It offers as many as others take, and is connected."""
    addresses = [f"127.0.0.{number}" for number in range(1, CANDIDATES_MAX + 6)]
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: addresses)
    peers = await connected(await host.open(host.make()), await host.open(host.make()))

    assert ["direct", "direct"] == [peer.road for peer in peers]


async def test_keys_that_others_may_know_are_not_replaced_by_what_was_under_way(host: Host) -> None:
    """A connection that was begun before the emergency does not count as its end, nor its failure as a failure."""
    alice, bob = await host.open(host.make()), await host.open(host.make())
    peer, _ = await connected(alice, bob)
    peer._relation.attempt("direct")
    (rotation,) = await alice.rotate_keys(emergency=True)

    assert (None, False) == (rotation.problem, rotation.closed)
    assert rotation.after == peer.session
    assert ["key_rotated"] == [each.event for each in alice.incidents(event="key_rotated")]


async def test_strangers_that_never_come_to_an_end_keep_nobody_out(host: Host) -> None:
    """Where there is no room, whoever has tried for longest is told so, and makes room for the next."""
    alice = await host.open(host.make(direct=Direct(peers_max=2)))
    hands = [Hand(await host.open(host.make(direct=by_hand()))) for _ in range(3)]
    for hand in hands[:2]:
        await hand.offer(alice.did)
        await hand.take_answer()
    bob, carol = await host.open(host.make()), await host.open(host.make())
    await connected(bob, alice)
    await connected(alice, carol)
    byes = [await hand.heard_bye() for hand in hands[:2]]
    await hands[2].offer(alice.did)

    assert ["too_many_connections"] * 3 == [bye.problem for bye in (*byes, await hands[2].heard_bye())]
    assert {bob.did, carol.did} == set(alice.peers)
    await asyncio.gather(*(hand.close() for hand in hands))
