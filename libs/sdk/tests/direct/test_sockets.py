"""No socket and no task of the stack outlives its connection, at whatever moment it is closed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioice.ice
import pytest
from aioice import stun
from aioice.turn import TurnTransport
from libs.sdk.tests.direct.descriptors import sockets_now

from aiconexus.protocol.signal_bodies import IceServer
from aiconexus.sdk.direct import stack
from aiconexus.sdk.direct.stack import Stack

SECONDS = 10.0
STEPS = 30
"""Turns of the loop: more than gathering takes here, where nobody has to be asked."""
ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


class Server(asyncio.DatagramProtocol):
    """
    A TURN server.

    Args:
        is_deaf: Whether it answers nothing; otherwise it allocates, and answers nothing from then on.

    """

    def __init__(self, *, is_deaf: bool) -> None:
        self.asked = asyncio.Event()
        self._is_deaf = is_deaf
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer an ALLOCATE."""
        self.asked.set()
        question = stun.parse_message(data)
        if self._is_deaf or question.message_method != stun.Method.ALLOCATE:
            return
        answer = stun.Message(question.message_method, stun.Class.RESPONSE, question.transaction_id)
        answer.attributes["LIFETIME"] = 600
        answer.attributes["XOR-MAPPED-ADDRESS"] = addr
        answer.attributes["XOR-RELAYED-ADDRESS"] = ("192.0.2.1", 5000)
        self._transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def serving(*, is_deaf: bool) -> AsyncIterator[tuple[Server, IceServer]]:
    """Such a server, and what a stack has to know of it."""
    server = Server(is_deaf=is_deaf)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    yield server, IceServer(urls=(f"turn:{host}:{port}", f"stun:{host}:{port}"), username="u", credential="c")
    transport.close()
    await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three that every machine has."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ADDRESSES)


def make(*servers: IceServer, relay_only: bool = False) -> Stack:
    """A stack with something to negotiate."""
    pc = stack.make_stack(servers, relay_only=relay_only, on_broken=lambda _: None)
    pc.createDataChannel("x", negotiated=True, id=0)
    return pc


def others() -> set[Any]:
    """The tasks that run besides the test."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def turns(count: int) -> None:
    """Let the loop turn some times."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", range(STEPS))
async def test_gathering_that_is_cut_off_leaves_nothing(steps: int) -> None:
    """Whether sockets are listed already or only bound, closing finds them."""
    before = sockets_now()
    pc = make()
    gathering = asyncio.create_task(stack.set_local(pc))
    await turns(steps)
    gathering.cancel()
    await asyncio.wait({gathering})
    await pc.close()

    assert set() == sockets_now() - before
    assert set() == others()


async def test_steps_reach_the_end_of_gathering() -> None:
    """The test above covers every moment."""
    pc = make()
    gathering = asyncio.create_task(stack.set_local(pc))
    await turns(STEPS)

    assert gathering.done()
    await pc.close()


async def test_closing_while_it_gathers_leaves_nothing() -> None:
    """Whoever gathers need not be cut off: it comes to an end by itself."""
    before = sockets_now()
    pc = make()
    gathering = asyncio.create_task(stack.set_local(pc))
    await turns(3)
    await pc.close()
    await asyncio.wait({gathering}, timeout=SECONDS)

    assert gathering.done()
    gathering.exception()
    assert set() == sockets_now() - before


@pytest.mark.parametrize("relay_only", [False, True])
async def test_servers_are_not_asked_any_more(relay_only: bool) -> None:
    """What asks a server that does not answer ends with the connection, at once, and so does its socket."""
    async with serving(is_deaf=True) as (server, known):
        before = sockets_now()
        pc = make(known, relay_only=relay_only)
        gathering = asyncio.create_task(stack.set_local(pc))
        async with asyncio.timeout(SECONDS):
            await server.asked.wait()
        gathering.cancel()
        began = asyncio.get_running_loop().time()
        await pc.close()
        took = asyncio.get_running_loop().time() - began

        assert set() == sockets_now() - before
        assert set() == others() - {gathering}
        assert took < 1.0


async def test_allocation_that_came_too_late_is_given_up() -> None:
    """A server that answers while gathering is cut off opens nothing that stays."""

    async def cut_off(server: Server, known: IceServer, steps: int) -> None:
        pc = make(known)
        gathering = asyncio.create_task(stack.set_local(pc))
        await server.asked.wait()
        await turns(steps)
        gathering.cancel()
        await pc.close()

    async with contextlib.AsyncExitStack() as servers:
        served = [await servers.enter_async_context(serving(is_deaf=False)) for _ in range(6)]
        before = sockets_now()
        # All at once, because each waits for a server that does not release what it holds.
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as closings:
            for steps, (server, known) in enumerate(served):
                closings.create_task(cut_off(server, known, steps))

        assert set() == sockets_now() - before
        assert set() == others()


async def test_server_that_is_gone_does_not_hold_a_socket() -> None:
    """A TURN server that does not release what it holds is not asked for ever."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with serving(is_deaf=False) as (_, known):
        before = sockets_now()
        pc = make(known, relay_only=True)
        assert " typ relay " in await stack.set_local(pc)
        began = asyncio.get_running_loop().time()
        await pc.close()
        took = asyncio.get_running_loop().time() - began
        await turns(3)

        assert set() == sockets_now() - before
        assert set() == others()
        assert stack.CLOSE_SECONDS * 0.9 <= took < stack.CLOSE_SECONDS + 1.0
        assert [] == complaints


@pytest.mark.parametrize("milliseconds", range(0, 120, 8))
async def test_closing_while_it_connects_leaves_nothing(milliseconds: int) -> None:
    """In the midst of checks, of the handshake, or when they have just succeeded: no task goes on."""
    before = sockets_now()
    left, right = make(), make()
    await stack.set_local(left)
    await stack.set_remote(right, left.localDescription.sdp, "offer")
    answer = await stack.set_local(right)
    await stack.set_remote(left, answer, "answer")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(milliseconds / 1000):
            await asyncio.Event().wait()
    await asyncio.gather(left.close(), right.close())

    assert set() == sockets_now() - before
    assert set() == others()


async def test_closing_goes_on_without_whoever_asked_for_it() -> None:
    """To stop waiting is not to stop it; the next who asks waits for the same end."""
    before = sockets_now()
    pc = make()
    await stack.set_local(pc)
    first = asyncio.create_task(pc.close())
    await turns(2)
    first.cancel()
    async with asyncio.timeout(SECONDS):
        await pc.close()

    assert set() == sockets_now() - before


async def test_nothing_is_opened_after_the_end() -> None:
    """A connection that is closed does not gather any more."""
    pc = make()
    await stack.set_local(pc)
    (sockets,) = pc._sockets
    await pc.close()

    assert [] == await sockets._connection.get_component_candidates(component=1, addresses=ADDRESSES)


def test_names_that_are_replaced_are_called() -> None:
    """Gathering calls by these names what we have replaced, and the list that we read is the one that it fills."""
    names = aioice.ice.Connection.get_component_candidates.__code__.co_names
    private = TurnTransport.__init__.__code__.co_names

    assert {"server_reflexive_candidate", "relayed_candidate", "_protocols"} <= set(names)
    assert "_query_consent_task" in aioice.ice.Connection.__init__.__code__.co_names
    assert {f"_TurnTransport__{name}" for name in ("close_task", "inner_protocol", "send_tasks")} <= set(private)
