"""What our TCP connections ask of the system: to notice within seconds that a path is dead."""

import socket
from typing import Protocol

SILENCE_SECONDS = 5
"""
How long sent bytes may stay unacknowledged, and an idle peer silent, before the system ends the connection.

Without it the system repeats what was lost after 0.2 s, then after twice as long each time (RFC 6298, section 5.5): a
path that works again is not used for as long as it was cut, and an idle connection over a dead one lives for hours.
"""
PROBE_AFTER_SECONDS = 2
PROBE_EVERY_SECONDS = 1
PROBES = 3


class Tunable(Protocol):
    """A socket, or what an event loop shows of one."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """See ``socket.socket``."""


def notice_silence(tcp: Tunable) -> None:
    """
    Have the system end a TCP connection whose path is dead (RFC 5482 for the time-out, RFC 9293 3.8.4 for probes).

    It acts in the kernels of both ends, so a process that is merely slow or stopped loses nothing by it. What a system
    does not have is left out.
    """
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {
        "TCP_KEEPIDLE": PROBE_AFTER_SECONDS,
        "TCP_KEEPINTVL": PROBE_EVERY_SECONDS,
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": SILENCE_SECONDS * 1000,
    }
    for name, value in wanted.items():
        option = getattr(socket, name, None)
        if option is not None:
            tcp.setsockopt(socket.IPPROTO_TCP, option, value)
