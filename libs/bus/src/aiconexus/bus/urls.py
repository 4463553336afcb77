"""Where a server is, as people write it."""

import re
from urllib.parse import urlsplit

_USERINFO = re.compile(r"//[^/@]*@")


def check_server(url: str) -> None:
    """
    Whether a text names a host, and a port if any; the client library takes any, and fails in the middle of connecting.

    Raises:
        ValueError: If it does not; the message holds no password.

    """
    shown = _USERINFO.sub("//***@", url)
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        message = f"no NATS URL: {shown} ({error})"
        raise ValueError(message) from None
    if not has_place:
        message = f"no NATS URL: {shown}"
        raise ValueError(message)
