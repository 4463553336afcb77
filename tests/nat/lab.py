"""
The NAT bed: a public network with room for a platform and a TURN server, and sites behind NATs around it.

Everything is in namespaces of its own; the machine's network is not touched. Several labs run side by side. A lab is
a lock that the kernel drops when its holder dies, so whoever finds one free may clear what a crash left there.
"""

import fcntl
from pathlib import Path
from typing import IO, Self

from tests.nat import namespaces
from tests.nat.site import BUS, PUBLIC, PUBLIC_BRIDGE, PUBLIC_BRIDGE_MAC, PUBLIC_GATEWAY, Site

TURN = f"{PUBLIC}.10"
OTHER = f"{PUBLIC}.21"
"""A second address of the host that tells others how their NAT maps them."""
LABS_MAX = 16
SITES_MAX = 100
RUN = Path("/run/lock")


class Lab:
    """A public network and the sites around it."""

    def __init__(self) -> None:
        self._lock: IO[str] | None = None
        self._prefix = ""
        self._sites: list[Site] = []

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def public(self) -> str:
        """The namespace of the public network."""
        return f"{self._prefix}public"

    def up(self) -> None:
        """Take a free place, clear it, and make the public network."""
        self._lock, self._prefix = _take()
        namespaces.sweep(self._prefix)
        namespaces.add(self.public)
        addresses = (f"addr add {address}/24 dev {PUBLIC_BRIDGE}" for address in (TURN, BUS, OTHER))
        namespaces.configure(
            self.public,
            f"link add {PUBLIC_BRIDGE} address {PUBLIC_BRIDGE_MAC} type bridge",
            f"addr add {PUBLIC_GATEWAY}/24 dev {PUBLIC_BRIDGE}",
            *addresses,
            f"link set {PUBLIC_BRIDGE} up",
        )

    def site(self) -> Site:
        """One more site."""
        site = Site(self._prefix, len(self._sites) + 1)
        self._sites.append(site)
        site.up()
        return site

    def publish(self, port: int, local_port: int) -> None:
        """Have a port of the bus's address lead to one of the loopback, where the platform listens."""
        namespaces.inside(self.public, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        match = ("-d", BUS, "-p", "tcp", "--dport", str(port))
        target = ("-j", "DNAT", "--to-destination", f"127.0.0.1:{local_port}")
        namespaces.inside(self.public, "iptables", "-t", "nat", "-A", "PREROUTING", *match, *target)

    def down(self) -> None:
        """End everything inside and delete it; somebody else's lab is never touched."""
        if self._lock is None:
            return
        for site in self._sites:
            site.down()
        namespaces.sweep(self._prefix)
        self._lock.close()
        self._lock = None


def _take() -> tuple[IO[str], str]:
    """The lock and the prefix of the first place that nobody holds."""
    for number in range(LABS_MAX):
        lock = (RUN / f"aiconexus-nat-{number}").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return lock, f"axnat{number}-"
    raise namespaces.CommandFailed(f"{LABS_MAX} labs are running")
