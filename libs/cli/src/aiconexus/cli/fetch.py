"""Read one page from a service on this machine, without the weight of an HTTP client."""

import asyncio
from urllib.parse import urlsplit

PAGE_MAX_BYTES = 4 * 1024 * 1024


async def fetch(url: str, timeout_seconds: float = 5.0) -> tuple[int, bytes]:
    """
    GET a page over HTTP/1.0.

    Returns:
        Status and body.

    Raises:
        OSError: If there is no answer, or not in time.

    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(timeout_seconds):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            writer.write(request.encode())
            page = await reader.read(PAGE_MAX_BYTES)
            while more := await reader.read(PAGE_MAX_BYTES - len(page)):
                page += more
        finally:
            writer.close()
    head, _, body = page.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not words[0].startswith(b"HTTP/") or not words[1:2]:
        message = f"{parts.netloc} does not speak HTTP"
        raise OSError(message)
    return int(words[1][:3]), body
