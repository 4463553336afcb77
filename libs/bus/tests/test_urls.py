"""Texts that are to name a server."""

import pytest

from aiconexus.bus.urls import check_server


@pytest.mark.parametrize(
    "url", ["nats://a", "nats://a:4222", "tls://a.example:4222", "nats://[::1]:4222", "a:4222", "nats://u:p@a:4222"]
)
def test_a_host_is_enough(url: str) -> None:
    """The scheme, a port and a login may be there."""
    check_server(url)


@pytest.mark.parametrize("url", ["", "nats://", "nats://:4222", "nats://[::1", "nats://a:99999", "nats://a:x", "a:0"])
def test_what_names_no_server_is_refused(url: str) -> None:
    """Before anything connects to it."""
    with pytest.raises(ValueError, match="no NATS URL"):
        check_server(url)


def test_a_password_is_not_repeated() -> None:
    """The message goes into logs."""
    with pytest.raises(ValueError, match=r"nats://\*\*\*@a:99999") as caught:
        check_server("nats://me:secret@a:99999")

    assert "secret" not in str(caught.value)
