"""Which road a URL stands for."""

import pytest

from aiconexus.protocol.keys import SigningKey
from aiconexus.sdk.road_edge import EdgeRoad, websocket_url
from aiconexus.sdk.road_nats import NatsRoad
from aiconexus.sdk.roads import road_maker

KEY = SigningKey(bytes(32))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://edge:8080", "ws://edge:8080/ws"),
        ("ws://edge:8080/", "ws://edge:8080/ws"),
        ("wss://edge/gate?x=1", "wss://edge/gate?x=1"),
        ("http://edge", "ws://edge/ws"),
        ("https://edge/ws", "wss://edge/ws"),
    ],
)
def test_every_way_to_write_an_edge(url: str, expected: str) -> None:
    """HTTP stands for WebSocket, and the path has a default."""
    assert expected == websocket_url(url)


@pytest.mark.parametrize("url", ["edge:8080", "ftp://edge", "ws://", "redis://x", "ws://[::1", "wss://edge:99999"])
def test_other_urls_are_refused(url: str) -> None:
    """A URL that is no road is refused before anything runs."""
    with pytest.raises(ValueError, match="no WebSocket URL"):
        road_maker(KEY, url)


@pytest.mark.parametrize("url", ["nats://", "nats://[::1", "tls://a:99999", "nats://a:x", "nats://a:0"])
def test_servers_without_a_place_are_refused(url: str) -> None:
    """Likewise one of NATS, where the library would fail with an assertion of its own."""
    with pytest.raises(ValueError, match="no NATS URL"):
        road_maker(KEY, url)


def test_url_chooses_the_road() -> None:
    """NATS servers may be several, and so may edges."""
    assert isinstance(road_maker(KEY, "nats://a:4222")(), NatsRoad)
    assert isinstance(road_maker(KEY, ["nats://a:4222", "tls://b:4222"])(), NatsRoad)
    assert isinstance(road_maker(KEY, ["wss://edge", "wss://other"])(), EdgeRoad)


@pytest.mark.parametrize("urls", [[], ["nats://a", "ws://b"]], ids=repr)
def test_mixture_is_refused(urls: list[str]) -> None:
    """One agent is on one road."""
    with pytest.raises(ValueError, match="one platform, or the servers"):
        road_maker(KEY, urls)


def test_unknown_subprotocol_is_refused() -> None:
    """A slip in the subprotocol shows at once."""
    with pytest.raises(ValueError, match=r"aiconexus\.v2"):
        road_maker(KEY, "ws://edge", "aiconexus.v2")
