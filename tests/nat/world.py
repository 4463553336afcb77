"""The public side of a lab, with a platform and a TURN server, and pairs of agents behind NATs of their own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
from tests.nat import namespaces
from tests.nat.boxes import Block, Kind
from tests.nat.handle import Handle
from tests.nat.lab import TURN, Lab
from tests.nat.pairs import Pair
from tests.nat.site import BUS, ROOT
from tests.nat.words import Spec
from tests.turn.coturn import DENIED, SECRET, Coturn, Ports

from aiconexus.cli.platform import Endpoints

START_SECONDS = 60.0
NATS_PORT, EDGE_PORT = 4222, 443
URLS = {"nats": f"nats://{BUS}:{NATS_PORT}", "edge": f"ws://{BUS}:{EDGE_PORT}/ws"}
TURN_PORTS = Ports(plain=3478, tls=443)


class End(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a pair: its NAT and firewall, its road to the platform, and its settings of the direct path."""

    kind: Kind = Kind.PORT
    block: Block = Block.NOTHING
    road: str = "nats"
    direct: Mapping[str, Any] = {}


class World:
    """
    A platform and a TURN server in the public network of a lab.

    Args:
        lab: The lab.
        home: Where everything keeps its files.

    """

    def __init__(self, lab: Lab, home: Path) -> None:
        self._lab = lab
        self._home = home
        self._platform: asyncio.subprocess.Process | None = None
        self._pairs = 0
        options = ("user-quota=50", "total-quota=500", *(f"denied-peer-ip={span}" for span in DENIED))
        self.turn = Coturn(
            home / "coturn", host=TURN, ports=TURN_PORTS, options=options, prefix=namespaces.entering(lab.public)
        )

    async def __aenter__(self) -> Self:
        await self.turn.start()
        endpoints = await self._start_platform()
        self._lab.publish(NATS_PORT, _port(endpoints.nats))
        self._lab.publish(EDGE_PORT, _port(endpoints.http))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._platform is not None and self._platform.stdin is not None:
            self._platform.stdin.close()
            await self._platform.wait()
        await self.turn.stop()

    @asynccontextmanager
    async def pair(self, name: str, a: End, b: End) -> AsyncIterator[Pair]:
        """Two agents, each behind a NAT of its own, for the length of a block."""
        self._pairs += 1
        folder = self._home / f"{self._pairs}-{name.replace(' ', '-').replace('/', '-')}"
        folder.mkdir()
        handles = [self._handle(label, end, folder) for label, end in (("a", a), ("b", b))]
        started = await asyncio.gather(*(handle.__aenter__() for handle in handles), return_exceptions=True)
        try:
            for error in started:
                if isinstance(error, BaseException):
                    raise error
            yield Pair(*handles)
        finally:
            await asyncio.gather(*(handle.__aexit__() for handle in handles))
            for handle in handles:
                handle.site.down()

    def _handle(self, label: str, end: End, folder: Path) -> Handle:
        site = self._lab.site()
        site.set(end.kind, end.block)
        spec = Spec(label=label, folder=str(folder), url=URLS[end.road], direct=end.direct)
        return Handle(site, spec, self.turn.authority)

    async def _start_platform(self) -> Endpoints:
        secret = self._home / "turn-secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        arguments = (str(self._home), msgspec.json.encode(self._turn_settings(secret)).decode())
        with (self._home / "platform.stderr").open("wb") as errors:
            self._platform = await asyncio.create_subprocess_exec(
                *namespaces.entering(self._lab.public),
                *("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.nat.platform_inside"),
                *arguments,
                cwd=ROOT,
                env={**os.environ, **namespaces.ENVIRONMENT, "SSL_CERT_FILE": str(self.turn.authority)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        if self._platform.stdout is None:
            raise RuntimeError("no standard output")
        async with asyncio.timeout(START_SECONDS):
            line = await self._platform.stdout.readline()
        if not line:
            raise RuntimeError((self._home / "platform.stderr").read_text())
        return msgspec.json.decode(line, type=Endpoints)

    def _turn_settings(self, secret: Path) -> dict[str, str]:
        settings = {
            "STUN_URLS": f"stun:{TURN}:{TURN_PORTS.plain}",
            "TURN_URLS": ",".join(self.turn.url(transport) for transport in ("udp", "tcp", "tls")),
            "TURN_SECRET_FILE": str(secret),
            "TURN_AUTHORITIES_FILE": str(self.turn.authority),
        }
        return {f"AICONEXUS_SIGNALING_{name}": value for name, value in settings.items()}


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])
