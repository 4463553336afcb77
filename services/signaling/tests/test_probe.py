"""Probes of what is no TURN server; ``tests/turn/test_probe.py`` has those of a real one."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from aiconexus.signaling.addresses import Address, address_of
from aiconexus.signaling.credentials import login_of
from aiconexus.signaling.probe import Fault, ProbeFailed, Prober

LOGINS = [login_of("secret", "probe", int(time.time()) + 60), login_of("old", "probe", int(time.time()) + 60)]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[Address]:
    """Somebody who listens for TCP, and is no TURN server."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield address_of(f"turn:127.0.0.1:{server.sockets[0].getsockname()[1]}?transport=tcp")


async def fault_of(attempt: Awaitable[object]) -> Fault:
    """Why a probe failed."""
    with pytest.raises(ProbeFailed) as caught:
        await attempt
    return caught.value.fault


async def test_nobody_there(free_port: int) -> None:
    """Over TCP the machine itself says no."""
    address = address_of(f"turn:127.0.0.1:{free_port}?transport=tcp")

    assert Fault.UNREACHABLE is await fault_of(Prober(2.0).probe(address, LOGINS))


async def test_silence_ends_at_the_deadline(free_port: int) -> None:
    """Over UDP nobody says no: the probe ends when its time is over."""
    began = time.monotonic()
    fault = await fault_of(Prober(0.2).probe(address_of(f"turn:127.0.0.1:{free_port}"), LOGINS))

    assert Fault.TIMEOUT is fault
    assert time.monotonic() - began < 2


async def test_who_listens_and_says_nothing_is_given_up() -> None:
    """A connection that is accepted and never answered is no TURN server."""
    silent = asyncio.Event()

    async def keep_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    async with listening(keep_silent) as address:
        fault = await fault_of(Prober(0.2).probe(address, LOGINS))
        silent.set()

    assert Fault.TIMEOUT is fault


async def test_a_name_that_nobody_knows() -> None:
    """What cannot be resolved cannot be reached."""
    address = address_of("turn:nowhere.invalid?transport=tcp")

    assert await fault_of(Prober(2.0).probe(address, LOGINS)) in {Fault.UNREACHABLE, Fault.TIMEOUT}
