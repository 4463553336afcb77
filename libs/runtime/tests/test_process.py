import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.bus.testing import NatsServer, running
from aiconexus.protocol.bodies import Ping, Pong

from .world import Caller, World

WAIT_SECONDS = 20


class Probe:
    """The relay of the world, played by ``probe.py``."""

    def __init__(self, home: Path, world: World, **settings: str) -> None:
        self.ports_file = home / "ports.json"
        directory = home / "directory.json"
        directory.write_bytes(msgspec.json.encode({"services": world.directory.services}))
        seed = home / "seed"
        seed.write_text(seed_text(Kind.USER, world.keys["relay"].seed))
        seed.chmod(0o600)
        given = {
            "nats_urls": world.url,
            "seed_file": str(seed),
            "directory_file": str(directory),
            "metrics_port": "0",
            "ports_file": str(self.ports_file),
            "disk_degraded_ratio": "1",
            "disk_unhealthy_ratio": "1",
            **settings,
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AICONEXUS_")}
        self._environ = clean | {f"AICONEXUS_RELAY_{name.upper()}": value for name, value in given.items()}
        self._process: asyncio.subprocess.Process | None = None
        self.lines: list[dict[str, Any]] = []

    @property
    def process(self) -> asyncio.subprocess.Process:
        """While it runs."""
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        """Run it."""
        program = Path(__file__).with_name("probe.py")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            "relay",
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def line(self, event: str) -> dict[str, Any]:
        """Read its log up to an event."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS):
            async for text in self.process.stdout:
                self.lines.append(json.loads(text))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        raise AssertionError(f"no {event} in {self.lines}")

    async def ended(self) -> tuple[int, str]:
        """Wait for its end: exit code and standard error."""
        async with asyncio.timeout(WAIT_SECONDS):
            out, err = await self.process.communicate()
        self.lines += [json.loads(text) for text in out.splitlines()]
        return int(self.process.returncode or 0), err.decode()

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        """Ask over HTTP."""
        port = json.loads(self.ports_file.read_text())["metrics"]
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status, await answer.json()

    async def kill(self) -> None:
        """Whatever state it is in."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


class Stage:
    """Starts probes, and ends those that are left."""

    def __init__(self, home: Path, world: World) -> None:
        self._home = home
        self._world = world
        self._probes: list[Probe] = []

    async def probe(self, **settings: str) -> Probe:
        """Start one."""
        probe = Probe(self._home, self._world, **settings)
        await probe.start()
        self._probes.append(probe)
        return probe

    async def clear(self) -> None:
        """End the rest."""
        for probe in self._probes:
            await probe.kill()


@pytest.fixture
async def stage(tmp_path: Path, world: World) -> AsyncIterator[Stage]:
    """Where probes are started."""
    stage = Stage(tmp_path, world)
    yield stage
    await stage.clear()


async def test_a_service_serves_until_it_is_told_to_stop(stage: Stage, alice: Caller) -> None:
    """It logs its settings, is ready, answers, and leaves in order with exit code 0."""
    probe = await stage.probe()
    await probe.line("relay.service_started")
    status, report = await probe.readiness()
    answer = await alice.ask("relay", Ping(sequence=5))
    probe.process.send_signal(signal.SIGTERM)
    code, err = await probe.ended()

    assert (status, report["status"]) == (200, "healthy"), report
    assert set(report["components"]) == {"bus", "memory", "disk", "process"}
    assert answer.body == Pong(sequence=5)
    assert (code, err) == (0, "")
    assert [line["event"] for line in probe.lines if line["level"] == "info"] == [
        "relay.settings_loaded",
        "relay.metrics_listening",
        "relay.bus_connected",
        "relay.service_started",
        "relay.service_stopping",
        "relay.left",
        "relay.process_stopped",
    ]
    assert probe.lines[0]["seed"] == "***"
    assert next(line for line in probe.lines if line["event"] == "relay.left")["connected"] is True
    assert {line["service"] for line in probe.lines} == {"relay"}


async def test_an_interrupt_from_the_keyboard_stops_it_too(stage: Stage) -> None:
    """SIGINT is the same as SIGTERM."""
    probe = await stage.probe()
    await probe.line("relay.service_started")
    probe.process.send_signal(signal.SIGINT)

    assert (await probe.ended())[0] == 0


async def test_a_service_waits_for_its_bus(tmp_path: Path) -> None:
    """Started first, it is alive and not ready; when the bus comes it serves; when the bus goes it waits again."""
    world = World()
    async with running(tmp_path / "nats", world.config(tmp_path / "store")) as server:
        world.url = server.url
        await server.stop()
        stage = Stage(tmp_path, world)
        probe = await stage.probe()
        await probe.line("relay.metrics_listening")
        waiting = await probe.readiness()
        await server.start()
        await probe.line("relay.service_started")
        serving = await probe.readiness()
        await _bounce(server, probe)
        again = await probe.readiness()
        probe.process.send_signal(signal.SIGTERM)
        code, _ = await probe.ended()
        await stage.clear()

    assert (waiting[0], waiting[1]["components"]["bus"]["reason"]) == (503, "not connected")
    assert (serving[0], again[0], code) == (200, 200, 0)


async def test_a_service_can_be_stopped_while_it_waits(tmp_path: Path, world: World) -> None:
    """For a bus that never comes, or for anything else at its start."""
    stage = Stage(tmp_path, world)
    without_bus = await stage.probe(nats_urls="nats://127.0.0.1:1")
    await without_bus.line("relay.metrics_listening")
    without_bus.process.send_signal(signal.SIGTERM)
    first, _ = await without_bus.ended()
    slow = await stage.probe(mood="starts slowly")
    await slow.line("relay.start_delayed")
    slow.process.send_signal(signal.SIGTERM)
    second, _ = await slow.ended()

    assert (first, second) == (0, 0)


@pytest.mark.parametrize(
    ("mood", "said"),
    [("crashes", "no luck"), ("dies later", "a task died"), ("loses its bus", "closed for good")],
)
async def test_a_crash_is_logged_with_its_traceback(stage: Stage, mood: str, said: str) -> None:
    """At the start, in a task of the service, or of the bus: exit code 1, so that somebody starts it again."""
    probe = await stage.probe(mood=mood)
    code, _ = await probe.ended()

    assert code == 1
    assert probe.lines[-1]["event"] == "relay.process_crashed"
    assert said in probe.lines[-1]["exception"]


async def test_a_service_that_does_not_come_to_its_end_is_ended(stage: Stage) -> None:
    """After ``drain_seconds``, with exit code 1."""
    probe = await stage.probe(mood="stops slowly", drain_seconds="0.2")
    await probe.line("relay.service_started")
    probe.process.send_signal(signal.SIGTERM)
    code, _ = await probe.ended()

    assert code == 1
    assert "TimeoutError" in probe.lines[-1]["exception"]


async def test_a_second_signal_ends_it_at_once(stage: Stage) -> None:
    """Whoever presses Ctrl-C twice does not want to wait."""
    probe = await stage.probe(mood="stops slowly")
    await probe.line("relay.service_started")
    probe.process.send_signal(signal.SIGTERM)
    await probe.line("relay.left")
    probe.process.send_signal(signal.SIGTERM)
    code, _ = await probe.ended()

    assert code == -signal.SIGTERM


async def test_what_nobody_awaits_is_logged_and_counted(stage: Stage) -> None:
    """A failed callback is no silence, and no end."""
    probe = await stage.probe(mood="careless")
    line = await probe.line("relay.loop_failed")

    assert "nobody awaits this" in line["exception"]
    assert probe.process.returncode is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"log_level": "loud", "seed_file": "/nowhere"}, "AICONEXUS_RELAY_LOG_LEVEL: 'loud' does not fit"),
        ({"directory_file": "/nowhere"}, "directory /nowhere: "),
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:0"),
        ({"mood": "misconfigured"}, "the http port is taken"),
    ],
    ids=["values", "directory", "address", "found by the service"],
)
async def test_settings_that_are_not_usable_end_it_with_a_text(
    stage: Stage, settings: dict[str, str], said: str
) -> None:
    """Exit code 2 and a sentence on standard error, no traceback."""
    probe = await stage.probe(**settings)
    code, err = await probe.ended()

    assert code == 2
    assert err.startswith("relay: settings are not usable:\n  ")
    assert said in err
    assert "Traceback" not in err


async def test_a_key_that_is_not_the_services_own_is_a_mistake(stage: Stage, world: World) -> None:
    """The directory says who relay is; another key would be believed by nobody."""
    world.keys["relay"] = world.keys["mallory"]
    probe = await stage.probe()
    code, err = await probe.ended()

    assert code == 2
    assert world.keys["mallory"].did in err


async def _bounce(server: NatsServer, probe: Probe) -> None:
    await server.kill()
    await probe.line("relay.bus_lost")
    assert (await probe.readiness())[0] == 503
    await server.start()
    await probe.line("relay.bus_connected")
