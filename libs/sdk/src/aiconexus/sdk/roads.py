"""Which road a URL stands for."""

import ssl
from collections.abc import Callable, Sequence

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
        url: The servers of one NATS cluster, or one edge.
        subprotocol: On an edge.
        ssl_context: For ``wss://``.

    Raises:
        ValueError: If the URL or the subprotocol is none.

    """
    urls = (url,) if isinstance(url, str) else tuple(url)
    if subprotocol not in SUBPROTOCOLS:
        raise ValueError(f"no such subprotocol: {subprotocol}")
    if urls and all(each.startswith(NATS_SCHEMES) for each in urls):
        return lambda: NatsRoad(urls, key)
    if len(urls) != 1:
        raise ValueError("give one URL of an edge, or the servers of one NATS cluster")
    edge = websocket_url(urls[0])
    return lambda: EdgeRoad(edge, subprotocol, ssl_context)
