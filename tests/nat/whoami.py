"""
Tell others how their NAT maps and filters them, in the words of RFC 4787.

Run as ``python -m tests.nat.whoami answer HOST OTHER`` on the public host, and as ``… ask HOST OTHER`` behind a NAT,
which prints what it found as JSON.
"""

import asyncio
import select
import socket
import sys
from typing import Any

import msgspec

PORT = 7000
OTHER_PORT = 7001
PATIENCE_SECONDS = 0.3
TRIES = 2
READY = "ready"

INDEPENDENT = "endpoint-independent"
ADDRESS = "address-dependent"
ADDRESS_AND_PORT = "address- and port-dependent"


class Found(msgspec.Struct, frozen=True):
    """What a NAT does with UDP; empty words if it lets none out."""

    mapping: str = ""
    filtering: str = ""


class _Answerer(asyncio.DatagramProtocol):
    """Answers from the socket that was asked, from another port, or from another address."""

    def __init__(self, name: tuple[str, int], sockets: dict[tuple[str, int], Any], other: str) -> None:
        self._name = name
        self._sockets = sockets
        self._other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sockets[self._name] = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        host = self._name[0]
        names = {b"same": self._name, b"port": (host, OTHER_PORT), b"address": (self._other, PORT)}
        if data in names:
            self._sockets[names[data]].sendto(f"{addr[0]}:{addr[1]}".encode(), addr)


async def answer(host: str, other: str) -> None:
    """Answer for ever."""
    sockets: dict[tuple[str, int], Any] = {}
    for name in ((host, PORT), (host, OTHER_PORT), (other, PORT)):
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda name=name: _Answerer(name, sockets, other),  # type: ignore[misc]
            local_addr=name,
        )
    print(READY, flush=True)  # noqa: T201
    await asyncio.Event().wait()


def ask(host: str, other: str) -> Found:
    """Classify the NAT that we are behind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Filtering first, while nothing has been sent to the other address.
        from_address, from_port = _asked(probe, (host, PORT), b"address"), _asked(probe, (host, PORT), b"port")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        mapped = [_asked(probe, to, b"same") for to in ((host, PORT), (host, OTHER_PORT), (other, PORT))]
    if not mapped[0]:
        return Found()
    return Found(
        mapping=INDEPENDENT if len(set(mapped)) == 1 else ADDRESS if mapped[0] == mapped[1] else ADDRESS_AND_PORT,
        filtering=INDEPENDENT if from_address else ADDRESS if from_port else ADDRESS_AND_PORT,
    )


def _asked(probe: socket.socket, to: tuple[str, int], what: bytes) -> str:
    for _ in range(TRIES):
        probe.sendto(what, to)
        if select.select([probe], [], [], PATIENCE_SECONDS)[0]:
            return probe.recv(64).decode()
    return ""


def main() -> None:
    """Answer or ask."""
    what, host, other = sys.argv[1:]
    if what == "answer":
        asyncio.run(answer(host, other))
    else:
        print(msgspec.json.encode(ask(host, other)).decode())  # noqa: T201


if __name__ == "__main__":
    main()
