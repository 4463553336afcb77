import pytest

from aiconexus.signaling.addresses import Address, address_of


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("stun:stun.example.org", ("stun.example.org", 3478, "udp", False, False)),
        ("stun:192.0.2.1:19302", ("192.0.2.1", 19302, "udp", False, False)),
        ("stuns:stun.example.org", ("stun.example.org", 5349, "tcp", False, True)),
        ("turn:turn.example.org", ("turn.example.org", 3478, "udp", True, False)),
        ("turn:turn.example.org:80?transport=tcp", ("turn.example.org", 80, "tcp", True, False)),
        ("turn:turn.example.org?transport=udp", ("turn.example.org", 3478, "udp", True, False)),
        ("turns:turn.example.org?transport=tcp", ("turn.example.org", 5349, "tcp", True, True)),
        ("turns:[2001:db8::1]:443", ("2001:db8::1", 443, "tcp", True, True)),
    ],
)
def test_a_uri_says_where_and_how(url: str, parts: tuple[str, int, str, bool, bool]) -> None:
    """Ports and transports that a URI leaves out are those of its scheme."""
    assert Address(url, *parts) == address_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "turn.example.org",
        "http:turn.example.org",
        "turn:",
        "turn:user@turn.example.org",
        "turn://turn.example.org",
        "turn:turn.example.org:0",
        "turn:turn.example.org:65536",
        "turn:turn.example.org?transport=sctp",
        "turns:turn.example.org?transport=udp",
        "stun:stun.example.org?transport=udp",
        f"turn:{'a' * 64}.example.org",
        f"turn:{'a.' * 130}org",
        "turn:turn.example.org\n",
    ],
)
def test_what_nobody_can_reach_is_no_address(url: str) -> None:
    """A mistake is found when the service starts, not when an agent needs the server."""
    with pytest.raises(ValueError, match=r"URI|port|TLS|transport|label"):
        address_of(url)
