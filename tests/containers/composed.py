"""The set of compose.yaml as somebody outside sees it: started with keys of its own, on free ports, and asked."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from testcontainers.compose import DockerCompose

from aiconexus.cli.home import Directory
from aiconexus.cli.platform import Endpoints

ROOT = Path(__file__).parents[2]
PREFIX = "aiconexus-test-"
PROJECT_LABEL = "com.docker.compose.project"
IMAGE_USER = "10001"
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.2
RELAY_PORTS = 8
FETCH = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8080/metrics').read().decode())"


class Composed:
    """
    One such set.

    Args:
        home: A folder that does not exist yet, for its keys.
        name: Tells the sets of one run apart.
        turn: The address of this machine at which agents and containers reach a TURN server; none without.

    """

    def __init__(self, home: Path, name: str, turn: str = "") -> None:
        self.project = f"{PREFIX}{os.getpid()}-{name}"
        self._home = home
        self._scale: dict[str, int] = {}
        self._ports = {"EDGE": _free_port(), "NATS": _free_port()}
        extra = home.with_suffix(".env")
        self._compose = DockerCompose(ROOT, build=True, env_file=[str(home / "compose.env"), str(extra)])
        first = _free_ports(RELAY_PORTS + 2) if turn else 0
        turning = ["--turn", f"{turn}:{first}"] if turn else []
        _run([str(Path(sys.executable).with_name("aiconexus")), "init", "--home", str(home), *turning])
        self._settings = dict(line.split("=", 1) for line in (home / "compose.env").read_text().splitlines())
        # The ports are chosen here, because one that the engine chooses is another after a restart.
        lines = [f"AICONEXUS_PUBLISHED_{service}_PORT={port}" for service, port in self._ports.items()]
        if turn:
            ports = {"TURNS_PORT": first + 1, "TURN_MIN_PORT": first + 2, "TURN_MAX_PORT": first + RELAY_PORTS + 1}
            lines += [f"AICONEXUS_{name}={port}" for name, port in ports.items()]
        extra.write_text("\n".join([*lines, f"COMPOSE_PROJECT_NAME={self.project}", "AICONEXUS_TAG=test", ""]))

    def start(self) -> None:
        """Build the images, start everything, wait until it is healthy."""
        self._compose.start()

    def up(self, *services: str, **scale: int) -> None:
        """Start what lacks of these services, or of all, and change how many there are of some."""
        self._scale |= scale
        counts = [f"--scale={service}={count}" for service, count in self._scale.items()]
        self.run("up", "--wait", "--no-recreate", *counts, *services)

    def down(self) -> None:
        """Remove everything."""
        self._compose.stop()

    def run(self, *arguments: str) -> str:
        """Have compose do something."""
        return _run([*self._compose.docker_compose_command(), *arguments])

    def shell(self, service: str, script: str, index: int = 1) -> str:
        """Have the shell of a container do something."""
        return self.run("exec", "-T", "--index", str(index), service, "sh", "-c", script)

    def kill(self, service: str, index: int = 1) -> str:
        """
        SIGKILL the process of a service from the inside.

        The engine takes ``docker kill`` for the will of the operator, and starts nothing again after it.

        Returns:
            When the life began that ended so.

        """
        life: str = self.containers(service)[index - 1]["State"]["StartedAt"]
        script = "kill -9 $(cat /proc/1/task/1/children)"
        self.run("exec", "--detach", "--index", str(index), service, "sh", "-c", script)
        return life

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine knows of the containers of a service."""
        ids = self.run("ps", "--all", "--quiet", service).split()
        found: list[dict[str, Any]] = json.loads(_run(["docker", "inspect", *ids])) if ids else []
        return sorted(found, key=lambda container: str(container["Name"]))

    def user(self, service: str) -> str:
        """The number of the user that a service runs as: that of the image if root owns the home."""
        return IMAGE_USER if service == "nats" else self._settings["AICONEXUS_UID"]

    def internal(self, networks: Iterable[str]) -> list[bool]:
        """Which networks lead nowhere."""
        return [bool(found["Internal"]) for found in json.loads(_run(["docker", "network", "inspect", *networks]))]

    def services(self) -> dict[str, Any]:
        """What compose makes of its file."""
        found: dict[str, Any] = json.loads(self.run("config", "--format", "json"))["services"]
        return found

    def metrics(self, service: str, index: int = 1) -> str:
        """The metrics page of a replica."""
        return self.run("exec", "-T", "--index", str(index), service, "python3", "-ISc", FETCH)

    def logs(self) -> str:
        """What everything said."""
        return self.run("logs", "--no-color", "--timestamps")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await asyncio.to_thread(condition):
                await asyncio.sleep(POLL_SECONDS)

    async def until_healthy(self) -> None:
        """Wait until everything is well: compose gives up at once on what is not."""
        services = list(self.services())
        await self.until(lambda: all(is_healthy(one) for service in services for one in self.containers(service)))

    async def until_restarted(self, service: str, life: str, index: int = 1) -> None:
        """Wait until the engine has started a replica again after a life, and it is well."""

        def is_back() -> bool:
            container = self.containers(service)[index - 1]
            return container["State"]["StartedAt"] != life and is_healthy(container)

        await self.until(is_back)

    @property
    def endpoints(self) -> Endpoints:
        """Where it is reached."""
        directory = msgspec.json.decode((self._home / "directory.json").read_bytes(), type=Directory)
        edge = f"127.0.0.1:{self._ports['EDGE']}"
        return Endpoints(
            pid=0,
            platform=directory.services["identity"],
            nats=f"nats://127.0.0.1:{self._ports['NATS']}",
            ws=f"ws://{edge}/ws",
            http=f"http://{edge}",
            monitor="",
            health={},
        )


def is_healthy(container: dict[str, Any]) -> bool:
    """Whether the health check of a container succeeds."""
    return bool(container["State"].get("Health", {}).get("Status") == "healthy")


def remains(project: str) -> dict[str, list[str]]:
    """What the engine still has of a project."""
    chosen = ["--quiet", "--filter", f"label={PROJECT_LABEL}={project}"]
    return {
        kind: _run(["docker", kind, "ls", *chosen, *(["--all"] if kind == "container" else [])]).split()
        for kind in ("container", "network", "volume")
    }


def sweep() -> None:
    """Remove the sets of runs that were killed."""
    named = [["docker", kind, "ls", "--format", f'{{{{.Label "{PROJECT_LABEL}"}}}}'] for kind in ("network", "volume")]
    projects = {project for command in named for project in _run(command).split()}
    for project in projects:
        found = re.fullmatch(rf"{PREFIX}(\d+)-\w+", project)
        if found and not Path("/proc", found[1]).exists():
            _run(["docker", "compose", "--project-name", project, "down", "--volumes", "--timeout", "0"])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, f"{' '.join(command)}: {done.stderr[-2000:]}"
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _free_ports(count: int) -> int:
    """The first of some in a row that nobody uses, beyond those that the system hands out to whoever asks for any."""
    for first in range(20_000 + os.getpid() % 1_000, 32_000, count):
        with ExitStack() as stack:
            try:
                for number in range(first, first + count):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        stack.enter_context(socket.socket(type=kind)).bind(("", number))
            except OSError:
                continue
            return first
    raise RuntimeError(count)
