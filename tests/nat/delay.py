"""
A delay line: every packet that netfilter queues is let go after so many milliseconds, in order.

Run as ``python -m tests.nat.delay MILLISECONDS``, in the namespace of a box whose rules send packets to the queue; says
``ready`` once it is bound. Needs NFQUEUE of the kernel and nothing else: it speaks nfnetlink itself, as not every
kernel has netem, and no library for it is on every machine.
"""

import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator

QUEUE = 1
_NETLINK, _NETFILTER = 16, 12
_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG = _SUBSYSTEM | 0, _SUBSYSTEM | 1, _SUBSYSTEM | 2
_ERROR = 2
_REQUEST, _ACK = 1, 4
_BIND, _COPY_META = 1, 1
_ACCEPT = 1
_HELD_MAX = 16_384
_RECEIVE_BUFFER = 4 * 1024 * 1024
_IDLE_SECONDS = 3600.0


def _attribute(number: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return struct.pack("=HH", 4 + len(value), number) + value + bytes(padding)


def _message(type_: int, attributes: bytes, *, flags: int = _REQUEST) -> bytes:
    body = struct.pack("!BBH", 0, 0, QUEUE) + attributes
    return struct.pack("=LHHLL", 16 + len(body), type_, flags, 0, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 16:
        length, type_ = struct.unpack_from("=LH", data)
        yield type_, data[16:length]
        data = data[(length + 3) & ~3 :]


def _packet_id(body: bytes) -> int:
    """The number in the attribute that comes with every packet."""
    rest = body[4:]
    while rest:
        length, number = struct.unpack_from("=HH", rest)
        if number & 0x7FFF == 1:
            return int.from_bytes(rest[4:8], "big")
        rest = rest[(length + 3) & ~3 :]
    raise ValueError("a packet without a number")


def _bind(netlink: socket.socket) -> None:
    commands = (
        _attribute(1, struct.pack("!BBH", _BIND, 0, 0)),
        _attribute(2, struct.pack("!LB", 0, _COPY_META)),
        _attribute(3, struct.pack("!L", _HELD_MAX)),
    )
    for command in commands:
        netlink.send(_message(_CONFIG, command, flags=_REQUEST | _ACK))
        (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
        if error:
            raise OSError(-error, "nfnetlink_queue")


def _accept(netlink: socket.socket, number: int) -> None:
    netlink.send(_message(_VERDICT, _attribute(2, struct.pack("!LL", _ACCEPT, number))))


def main() -> None:
    """Hold and let go, until killed."""
    delay = float(sys.argv[1]) / 1000
    netlink = socket.socket(_NETLINK, socket.SOCK_RAW, _NETFILTER)
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    _bind(netlink)
    print("ready", flush=True)  # noqa: T201
    held: deque[tuple[float, int]] = deque()
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else _IDLE_SECONDS
        if select.select([netlink], [], [], wait)[0]:
            due = time.monotonic() + delay
            for type_, body in _messages(netlink.recv(1024 * 1024)):
                if type_ == _PACKET:
                    held.append((due, _packet_id(body)))
        while held and held[0][0] <= time.monotonic():
            _accept(netlink, held.popleft()[1])


if __name__ == "__main__":
    main()
