"""
A real coturn for tests and benchmarks: its own ports, secret, certificate and files, stopped by its pid.

It dies with the process that started it, whatever happens to that, and leaves nothing outside its folder.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import shutil
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
from tests.turn.certificate import write_certificate

from aiconexus.cli.child import Child
from aiconexus.protocol.signal_bodies import IceServer

PROGRAM = "turnserver"
REALM = "turn.test"
SECRET = "secret of the tests"
LOOPBACK = "127.0.0.1"
START_SECONDS = 15.0
CREDENTIAL_SECONDS = 600
LOG_LINES = 2000
TRIES = 3

DENIED = (
    "0.0.0.0-0.255.255.255",
    "10.0.0.0-10.255.255.255",
    "100.64.0.0-100.127.255.255",
    "169.254.0.0-169.254.255.255",
    "172.16.0.0-172.31.255.255",
    "192.168.0.0-192.168.255.255",
)
"""Where no TURN server may carry anything: into the network that it stands in."""

QUERIES = {"udp": "transport=udp", "tcp": "transport=tcp", "tls": "transport=tcp"}


def lacking() -> str:
    """Why no coturn can run here; empty if it can."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not installed; it comes with Debian's package coturn"


class Ports(msgspec.Struct, frozen=True):
    """Where it listens: UDP and TCP on one number, TLS on the other."""

    plain: int
    tls: int

    @classmethod
    def free(cls, host: str) -> Self:
        """Two that are free now."""
        with socket.socket() as plain, socket.socket() as tls:
            plain.bind((host, 0))
            tls.bind((host, 0))
            return cls(plain.getsockname()[1], tls.getsockname()[1])


class Coturn:
    """
    One coturn that can be killed and started again on the same ports.

    Args:
        home: Its folder.
        host: The address that it listens on and relays from.
        ports: Where it listens; None takes free ones.
        options: More lines of its configuration.
        prefix: What runs it, such as the program that enters a network namespace.

    """

    def __init__(
        self,
        home: Path,
        *,
        host: str = LOOPBACK,
        ports: Ports | None = None,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
    ) -> None:
        self.host = host
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._home = home
        self._given = ports
        self._options = tuple(options)
        self._prefix = tuple(prefix)
        self._ports: Ports | None = ports
        self._child: Child | None = None
        self._heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def ports(self) -> Ports:
        """Where it listens."""
        if self._ports is None:
            raise RuntimeError("coturn was not started")
        return self._ports

    @property
    def authority(self) -> Path:
        """The certificate to trust."""
        return self._home / "turn.crt"

    async def start(self) -> None:
        """
        Start it and wait until it listens everywhere.

        Raises:
            RuntimeError: If it ends at once, free ports or not.

        """
        self._home.mkdir(parents=True, exist_ok=True)
        if not self.authority.exists():
            write_certificate(self._home, self.host)
        for _ in range(TRIES):
            if await self._started():
                return
            # Somebody may have taken a port between our look and its start.
            self._ports = self._given
        raise RuntimeError("coturn does not start:\n" + "\n".join(self.log))

    async def kill(self) -> None:
        """SIGKILL."""
        if self._child is not None:
            await self._child.kill()

    async def stop(self) -> None:
        """End it in order."""
        if self._child is not None:
            await self._child.stop()

    async def logged(self, text: str) -> str:
        """Wait for a line of its log that contains a text."""
        async with asyncio.timeout(START_SECONDS):
            while not (found := [line for line in self.log if text in line]):
                self._heard.clear()
                await self._heard.wait()
        return found[0]

    def url(self, transport: str) -> str:
        """Its URL by ``udp``, ``tcp`` or ``tls``."""
        scheme, port = ("turns", self.ports.tls) if transport == "tls" else ("turn", self.ports.plain)
        return f"{scheme}:{self.host}:{port}?{QUERIES[transport]}"

    def server(
        self, transport: str, user: str, *, seconds: int = CREDENTIAL_SECONDS, secret: str = SECRET
    ) -> IceServer:
        """What an agent must know to use it."""
        name, credential = credentials(user, seconds=seconds, secret=secret)
        return IceServer(urls=(self.url(transport),), username=name, credential=credential)

    async def _started(self) -> bool:
        if self._ports is None:
            self._ports = Ports.free(self.host)
        config = self._home / "turnserver.conf"
        config.write_text("\n".join(self._lines()) + "\n")
        command = (*self._prefix, PROGRAM, "-c", str(config))
        environment: Mapping[str, str] = {"PATH": f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin"}
        self._child = Child("coturn", command, environment, self._keep)
        await self._child.start()
        ended = asyncio.create_task(self._child.wait())
        try:
            return await self._is_listening(ended)
        finally:
            ended.cancel()

    async def _is_listening(self, ended: asyncio.Task[int]) -> bool:
        async with asyncio.timeout(START_SECONDS):
            while not ended.done():
                if {self.ports.plain, self.ports.tls} <= self._open_ports():
                    return True
                await asyncio.sleep(0.01)
        return False

    def _open_ports(self) -> set[int]:
        """Where something listens for TCP in its network; UDP sockets are opened before."""
        try:
            table = Path(f"/proc/{self._child.pid if self._child else 0}/net/tcp").read_text()
        except OSError:
            return set()
        rows = (line.split() for line in table.splitlines()[1:])
        return {int(row[1].rsplit(":", 1)[1], 16) for row in rows if row[3] == "0A"}

    def _keep(self, _name: str, line: str) -> None:
        self.log.append(line)
        self._heard.set()

    def _lines(self) -> tuple[str, ...]:
        loopback = ("allow-loopback-peers",) if self.host == LOOPBACK else ()
        return (
            f"listening-ip={self.host}",
            f"relay-ip={self.host}",
            f"listening-port={self.ports.plain}",
            f"tls-listening-port={self.ports.tls}",
            "fingerprint",
            "use-auth-secret",
            f"static-auth-secret={SECRET}",
            f"realm={REALM}",
            "stale-nonce=600",
            "no-multicast-peers",
            "no-tcp-relay",
            "no-cli",
            "no-rfc5780",
            f"cert={self.authority}",
            f"pkey={self._home / 'turn.key'}",
            "log-file=stdout",
            "simple-log",
            f"pidfile={self._home / 'turn.pid'}",
            f"userdb={self._home / 'turn.db'}",
            *loopback,
            *self._options,
        )


def credentials(user: str, *, seconds: int = CREDENTIAL_SECONDS, secret: str = SECRET) -> tuple[str, str]:
    """
    Make a name and a password that a TURN server believes until they expire.

    Written here once more, so that what the platform issues is held against coturn and not against itself.
    """
    name = f"{int(time.time()) + seconds}:{user}"
    digest = hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()
    return name, base64.b64encode(digest).decode()
