"""Allocations on a TURN server, made as plainly as the ICE stack allows."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aioice import turn
from tests.turn.coturn import Coturn, credentials

SECONDS = 10.0


class Allocation(asyncio.DatagramProtocol):
    """One relayed address, and what came in through it."""

    def __init__(self) -> None:
        self.transport: turn.TurnTransport
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        self.inbox.put_nowait(data if isinstance(data, bytes) else data.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    @property
    def address(self) -> tuple[str, int]:
        """Where others reach us."""
        host, port = self.transport.get_extra_info("sockname")
        return host, port

    async def permit(self, peer: tuple[str, int]) -> None:
        """Ask the server to carry for a peer; it says no with a TransactionFailed."""
        inner = self.transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
        async with asyncio.timeout(SECONDS):
            await inner.send_data(b"hello", peer)

    async def heard(self) -> bytes:
        """What came in next."""
        async with asyncio.timeout(SECONDS):
            return await self.inbox.get()


@asynccontextmanager
async def allocated(
    server: Coturn, user: str, *, transport: str = "udp", login: tuple[str, str] | None = None
) -> AsyncIterator[Allocation]:
    """
    An allocation for the length of a block.

    Raises:
        aioice.stun.TransactionFailed: If the server refuses.

    """
    name, password = login or credentials(user)
    tls = transport == "tls"
    async with asyncio.timeout(SECONDS):
        made, protocol = await turn.create_turn_endpoint(
            Allocation,
            server_addr=(server.host, server.ports.tls if tls else server.ports.plain),
            username=name,
            password=password,
            transport="udp" if transport == "udp" else "tcp",
            ssl=ssl.create_default_context(cafile=server.authority) if tls else False,
        )
    protocol.transport = made
    try:
        yield protocol
    finally:
        made.close()
        async with asyncio.timeout(SECONDS):
            await protocol.closed.wait()
