import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil
import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.ownership import SERVICES
from aiconexus.bus.session import Session
from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.fetch import fetch
from aiconexus.cli.options import Running, running
from aiconexus.cli.platform import Platform
from aiconexus.cli.survey import survey
from aiconexus.protocol import subjects
from aiconexus.protocol.records import REGISTRY


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Platform]:
    """The bus alone."""
    async with Platform(tmp_path / "home", services=()) as platform:
        yield platform


async def heard(lines: "asyncio.Queue[str]", text: str) -> None:
    """Wait for a line with this text."""
    async with asyncio.timeout(20):
        while text not in await lines.get():
            continue


async def test_the_bus_keeps_its_port_and_store_over_a_crash(bus: Platform) -> None:
    """What was written before SIGKILL is there after a restart, at the same address."""
    before = bus.endpoints()
    session = await Session.connect(
        [before.nats], bus.home.key("identity"), name="t", inbox_prefix=subjects.service_inbox("identity")
    )
    bucket = await Bucket.ensure(session, REGISTRY)
    await bucket.put("key", b"value")
    await bus.kill("nats")
    gone = bus.pids
    await bus.restart("nats")
    entry = await bucket.get("key")
    await session.close()

    assert ({"nats": None}, before) == (gone, bus.endpoints())
    assert entry is not None
    assert entry.value == b"value"


async def test_a_home_runs_one_platform(bus: Platform) -> None:
    """A second start in the same home is refused and names the first one's process."""
    with pytest.raises(Failure, match=rf"already runs in .* \(process {os.getpid()}\)") as caught:
        await Platform(bus.home.path, services=()).start()

    assert caught.value.status is Exit.USAGE


@pytest.mark.parametrize(("field", "option"), [("port", "--port"), ("nats_port", "--nats-port")])
async def test_a_taken_port_is_told_with_a_way_out(tmp_path: Path, field: str, option: str) -> None:
    """The message names the port and the option that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        platform = Platform(tmp_path, services=(), port=port if field == "port" else 0, nats_port=port)

        with pytest.raises(Failure, match=rf"port {port} is taken .*{option} 0"):
            await platform.start()

    assert {} == platform.pids


async def test_there_are_only_the_parts_that_were_started(bus: Platform) -> None:
    """A part that is not there cannot be killed."""
    with pytest.raises(Failure, match="no part relay: there are nats"):
        await bus.kill("relay")


async def test_a_platform_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    """A service with unusable settings ends the start with its own words, and everything else stops."""
    platform = Platform(tmp_path, services=("relay",), settings={"AICONEXUS_RELAY_MAILBOX_MAX_ENVELOPES": "many"})

    with pytest.raises(Failure, match=r"(?s)relay ended before it was ready.*MAILBOX_MAX_ENVELOPES") as caught:
        await platform.start()

    assert Exit.USAGE is caught.value.status
    assert {} == platform.pids
    assert not platform.home.endpoints_file.exists()


async def test_everything_starts_reports_and_stops(tmp_path: Path) -> None:
    """The whole platform is well, tells where it is, comes back after a crash, and leaves no process behind."""
    seen: asyncio.Queue[str] = asyncio.Queue()
    platform = Platform(tmp_path, scale={"relay": 2}, on_line=lambda name, line: seen.put_nowait(f"{name} {line}"))
    endpoints = await platform.start()
    pids = platform.pids
    found = await survey(running(tmp_path))
    os.kill(pids["relay-2"] or 0, signal.SIGKILL)
    await heard(seen, "started again")
    await platform.stop()

    assert {"nats", "relay-2", *SERVICES} == set(pids)
    assert ({service.name: service.status for service in found.services}, found.is_well) == (
        dict.fromkeys(pids, "healthy"),
        True,
    )
    assert {"KV_EDGES", "KV_PRESENCE", "KV_REGISTRY", "KV_RELAY", "MAILBOX"} <= {s.name for s in found.streams}
    assert {"nats": 0, "edge": 0} == found.agents
    assert endpoints.ws.startswith("ws://127.0.0.1:")
    assert not any(psutil.pid_exists(pid or 0) for pid in pids.values())
    assert not platform.home.endpoints_file.exists()


async def test_mail_and_jobs_leave_room_for_registrations(tmp_path: Path) -> None:
    """However much waits, the streams that grow with it end before the storage of the bus does."""
    async with Platform(tmp_path / "home", services=("identity", "relay", "retry")) as platform:
        _, page = await fetch(f"{platform.endpoints().monitor}/jsz?accounts=1&streams=1&config=1")
    report = msgspec.json.decode(page)
    streams = [stream for account in report["account_details"] for stream in account["stream_detail"]]
    bounds = {stream["name"]: stream["config"]["max_bytes"] for stream in streams}

    assert all(bounds[name] > 0 for name in ("MAILBOX", "JOBS", "RETRY", "DEAD"))
    assert sum(bound for bound in bounds.values() if bound > 0) < report["config"]["max_storage"]


async def test_up_stops_with_one_interrupt(tmp_path: Path) -> None:
    """The command tells when and where it is ready, and SIGINT ends it and all its processes in order."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())"),
        *("up", "--home", str(tmp_path), "--port", "0", "--nats-port", "0"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(40):
        output = await process.stdout.readuntil(b"AIConexus is up.")
        here = msgspec.json.decode((tmp_path / "endpoints.json").read_bytes(), type=Running)
        children = [child.pid for child in psutil.Process(process.pid).children()]
        process.send_signal(signal.SIGINT)
        output += await process.stdout.read()
        status = await process.wait()

    assert (0, process.pid, 1 + len(SERVICES)) == (status, here.pid, len(children))
    assert here.nats.encode() in output
    assert b"Traceback" not in output
    assert not any(psutil.pid_exists(pid) for pid in children)


async def test_processes_do_not_outlive_a_killed_platform(tmp_path: Path) -> None:
    """Nothing is left on the machine even if the command itself is killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())"),
        *("up", "--home", str(tmp_path), "--port", "0", "--nats-port", "0"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(40):
        await process.stdout.readuntil(b"AIConexus is up.")
        children = psutil.Process(process.pid).children()
        process.kill()
        await process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)

    assert [] == alive
