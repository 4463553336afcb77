"""One site: a NAT box, the network behind it, and everything that can go wrong on the way out of there."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.nat import boxes, namespaces
from tests.nat.boxes import Block, Kind
from tests.nat.delay import QUEUE

ROOT = Path(__file__).parents[2]
PUBLIC = "203.0.113"
PUBLIC_BRIDGE = "br0"
PUBLIC_BRIDGE_MAC = "02:00:00:00:00:01"
"""Given one, a bridge keeps it; else each new port may change it, and whoever knew the old one is not heard."""
PUBLIC_GATEWAY = f"{PUBLIC}.1"
BUS = f"{PUBLIC}.20"
FIRST_SITE = 100
REBOUND = (20_000, 30_000)
"""Where public ports begin after a rebinding, in turn."""

EVERYTHING = "-j DROP"
UDP = "-p udp -j DROP"
UDP_OUT = "-o wan -p udp -j DROP"
UDP_IN = "-i wan -p udp -j DROP"

# ctnetlink: delete all entries; the program conntrack is on few machines.
_FORGET = (
    "import socket,struct;s=socket.socket(16,3,12);s.send(struct.pack('=LHHLLBBH',20,0x102,5,1,0,0,0,0));"
    "raise SystemExit(struct.unpack('=i',s.recv(999)[16:20])[0]!=0)"
)


def losing(share: float, match: str = "") -> str:
    """The fault of losing a share of all packets, or of those that match."""
    return f"{match} -m statistic --mode random --probability {share} -j DROP"


class Site:
    """
    A NAT box and what is behind it.

    Args:
        lab: The prefix of the lab's namespaces.
        number: Of the site in its lab, from 1.

    """

    def __init__(self, lab: str, number: int) -> None:
        self.box = f"{lab}box{number}"
        self.inner = f"{lab}in{number}"
        self.lan = f"10.0.{number}"
        self.host = f"{self.lan}.2"
        self.address = f"{PUBLIC}.{FIRST_SITE + number}"
        self._number = number
        self._public = f"{lab}public"
        self._kind, self._block = Kind.PORT, Block.NOTHING
        self._first_port = 0
        self._delay: subprocess.Popen[str] | None = None

    def up(self) -> None:
        """Make it, port-restricted and with nothing blocked."""
        namespaces.add(self.box, forwarding=True)
        namespaces.add(self.inner)
        port = f"p{self._number}"
        namespaces.configure(
            self._public,
            f"link add {port} type veth peer name wan netns {self.box}",
            f"link set {port} master {PUBLIC_BRIDGE} up",
        )
        namespaces.configure(
            self.box,
            f"link add lan type veth peer name eth0 netns {self.inner}",
            f"addr add {self.lan}.1/24 dev lan",
            f"addr add {self.address}/24 dev wan",
            "link set lan up",
            "link set wan up",
            f"route add default via {PUBLIC_GATEWAY}",
        )
        namespaces.configure(
            self.inner,
            f"addr add {self.host}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {self.lan}.1",
        )
        self.set()

    def set(self, kind: Kind | None = None, block: Block | None = None) -> None:
        """Become another kind of NAT, or block something else; every mapping is forgotten and every fault healed."""
        self._kind, self._block = kind or self._kind, block or self._block
        self._write()
        self.forget()

    def close_to(self, block: Block) -> None:
        """Begin to block; what is let through keeps its mappings."""
        self._block = block
        self._write()

    def rebind(self) -> None:
        """Give every flow a new public port, as a box does that was switched off and on; heals every fault."""
        self._first_port = REBOUND[1] if self._first_port == REBOUND[0] else REBOUND[0]
        self._write()
        self.forget()

    def forget(self) -> None:
        """Drop every mapping."""
        namespaces.inside(self.box, sys.executable, "-c", _FORGET)

    def fault(self, *broken: str) -> None:
        """Break something, instead of what was broken before."""
        namespaces.inside(self.box, "iptables-restore", "-n", stdin=boxes.faults(broken))

    def heal(self) -> None:
        """End every fault but a delay."""
        self.fault()

    def packets_to(self, address: str) -> int:
        """How many UDP packets for an address tried to leave since ``count_to``."""
        lines = namespaces.inside(self.box, "iptables", "-nvxL", "FORWARD").splitlines()
        return sum(int(line.split()[0]) for line in lines if f" {address} " in f"{line} ")

    def count_to(self, address: str) -> None:
        """Count the UDP packets that leave for an address."""
        namespaces.inside(self.box, "iptables", "-I", "FORWARD", "-o", "wan", "-p", "udp", "-d", address)

    def delay(self, milliseconds: float, faults: Sequence[str] = ()) -> None:
        """Hold every packet, in and out, so long."""
        command = (*namespaces.entering(self.box), "setpriv", "--pdeathsig", "KILL", sys.executable)
        self._delay = subprocess.Popen(
            (*command, "-m", "tests.nat.delay", str(milliseconds)),
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=namespaces.ENVIRONMENT,
        )
        if self._delay.stdout is None or self._delay.stdout.readline().strip() != "ready":
            raise namespaces.CommandFailed("the delay line does not start")
        self.fault(*faults, f"-j NFQUEUE --queue-num {QUEUE} --queue-bypass")

    def down(self) -> None:
        """End the delay; the lab deletes the namespaces."""
        if self._delay is not None:
            self._delay.kill()
            self._delay.wait()
            if self._delay.stdout is not None:
                self._delay.stdout.close()
            self._delay = None

    def _write(self) -> None:
        text = boxes.rules(self._kind, self._block, host=self.host, bus=BUS, first_port=self._first_port)
        namespaces.inside(self.box, "iptables-restore", stdin=text)
