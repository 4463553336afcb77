import asyncio
from collections.abc import AsyncIterator

import pytest

from aiconexus.cli.fetch import fetch


async def answering(data: bytes) -> tuple[asyncio.Server, str]:
    """A server that says the same to everybody, and its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x?y=1"


@pytest.fixture
async def page() -> AsyncIterator[str]:
    """A page that is there."""
    server, url = await answering(b"HTTP/1.1 503 Unready\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 300_000)
    async with server:
        yield url


@pytest.fixture
async def noise() -> AsyncIterator[str]:
    """Something that is no web server."""
    server, url = await answering(b"SSH-2.0-OpenSSH\r\n")
    async with server:
        yield url


async def test_a_page_comes_with_its_status(page: str) -> None:
    """Status and whole body are given, whatever the status is."""
    assert (503, b"x" * 300_000) == await fetch(page)


async def test_something_else_is_an_error(noise: str) -> None:
    """What does not speak HTTP is no page."""
    with pytest.raises(OSError, match="does not speak HTTP"):
        await fetch(noise)


async def test_nobody_there_is_an_error(page: str, unused_tcp_port: int) -> None:
    """A closed port is an error of the system."""
    with pytest.raises(ConnectionError):
        await fetch(f"http://127.0.0.1:{unused_tcp_port}/")
