"""Where a STUN or TURN server is: its URI (RFC 7064, RFC 7065) taken apart. No I/O."""

import re

import msgspec

SCHEMES = {"stun": 3478, "stuns": 5349, "turn": 3478, "turns": 5349}
"""What a URI may begin with, and the port that it means where it names none."""

URI_MAX_CHARACTERS = 256
PORT_MAX = 65535
URI = re.compile(
    r"(?P<scheme>stuns?|turns?):"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)


class Address(msgspec.Struct, frozen=True):
    """One way to one server; a server that listens for UDP, TCP and TLS has three."""

    url: str
    host: str
    port: int
    transport: str
    is_turn: bool
    is_secure: bool


def address_of(url: str) -> Address:
    """
    Take a URI apart.

    Raises:
        ValueError: If it is no such URI, or asks for what nobody can do.

    """
    found = URI.fullmatch(url)
    if found is None or len(url) > URI_MAX_CHARACTERS:
        message = f"{url!r} is no URI of a server, such as turn:turn.example.org:3478?transport=udp"
        raise ValueError(message)
    scheme = found["scheme"]
    is_secure, is_turn = scheme.endswith("s"), scheme.startswith("turn")
    port = int(found["port"] or SCHEMES[scheme])
    if not 1 <= port <= PORT_MAX:
        message = f"{url!r} names no port"
        raise ValueError(message)
    transport = found["transport"] or ("tcp" if is_secure else "udp")
    if is_secure and transport == "udp":
        message = f"{url!r}: TLS runs over TCP here"
        raise ValueError(message)
    if found["transport"] and not is_turn:
        message = f"{url!r}: a STUN URI names no transport"
        raise ValueError(message)
    host = found["host"].strip("[]")
    host.encode("idna")  # a resolver refuses what is too long for a name in the same way, but later
    return Address(url, host, port, transport, is_turn, is_secure)
