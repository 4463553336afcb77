"""Which road a URL stands for."""

import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from aiconexus.bus.urls import check_server
from aiconexus.protocol.keys import SigningKey
from aiconexus.sdk.road import Road
from aiconexus.sdk.road_edge import BINARY, SUBPROTOCOLS, EdgeRoad, websocket_url
from aiconexus.sdk.road_nats import NatsRoad

NATS_SCHEMES = ("nats://", "tls://")


def road_maker(
    key: SigningKey,
    url: str | Sequence[str],
    subprotocol: str = BINARY,
    ssl_context: ssl.SSLContext | None = None,
) -> Callable[[], Road]:
    """
    Choose a road without stepping on it.

    Args:
        key: The agent's.
        url: The servers of one NATS cluster, or the edges of one platform.
        subprotocol: On an edge.
        ssl_context: For ``wss://``.

    Raises:
        ValueError: If the URL or the subprotocol is none.

    """
    urls = (url,) if isinstance(url, str) else tuple(url)
    if subprotocol not in SUBPROTOCOLS:
        raise ValueError(f"no such subprotocol: {subprotocol}")
    if urls and all(each.startswith(NATS_SCHEMES) for each in urls):
        for each in urls:
            check_server(each)
        return lambda: NatsRoad(urls, key)
    if not urls or any(each.startswith(NATS_SCHEMES) for each in urls):
        raise ValueError("give the edges of one platform, or the servers of one NATS cluster")
    for each in urls:
        _check(each)
    edges = tuple(map(websocket_url, urls))
    return lambda: EdgeRoad(edges, subprotocol, ssl_context)


def _check(url: str) -> None:
    """The library takes any port, and fails in the middle of connecting."""
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"no WebSocket URL: {url} ({error})") from error
