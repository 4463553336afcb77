"""Files from agent to agent where something is in the way: silent senders, dead recipients, disks that fail."""

import asyncio
import errno
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest
from tests.integration.direct_agents import connected
from tests.integration.sdk_agents import SECONDS, Host

from aiconexus.cli.platform import Platform
from aiconexus.protocol.direct_errors import TransferRefused
from aiconexus.sdk import Agent, Identity
from aiconexus.sdk.delivery import Notice
from aiconexus.sdk.sharing.giving import Step
from aiconexus.sdk.sharing.manifest import read
from aiconexus.sdk.sharing.pieces import COMPLETE, OFFER
from aiconexus.sdk.sharing.taking import CANNOT_WRITE, OPEN_MAX

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
RECEIVE = "import sys; from aiconexus.cli.main import app; sys.exit(app())"


def file_of(folder: Path, size: int, name: str = "evidence.bin") -> Path:
    """A file of chance."""
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


async def offered(alice: Agent, bob: Agent, path: Path, name: str) -> str:
    """Have a file offered of which nothing comes; returns the share."""
    manifest, _ = await asyncio.to_thread(read, path, name)
    await alice.call(bob.did, capability=OFFER, args={"manifest": msgspec.to_builtins(manifest)})
    return manifest.id


async def test_files_of_which_nothing_comes_make_room(host: Host, tmp_path: Path) -> None:
    """Whoever offers and falls silent keeps nobody from sharing, and may still go on later."""
    path = file_of(tmp_path, 100_000)
    alice, bob, carol = host.make(), host.make(), host.make()
    bob.receive_files(tmp_path / "in", idle_seconds=0.0)
    for agent in (alice, bob, carol):
        await host.open(agent)
    async with asyncio.timeout(SECONDS):
        for number in range(OPEN_MAX):
            await offered(alice, bob, path, f"silent {number}")
        first = await carol.share(path, bob.did, direct=False)
        second = await alice.share(path, bob.did, name="silent 0", direct=False)

    assert ("evidence.bin", "silent 0") == (first.name, second.name)
    assert path.read_bytes() == (tmp_path / "in" / "silent 0").read_bytes()


async def test_file_that_stands_still_is_told_though_others_move(host: Host, tmp_path: Path) -> None:
    """Whoever asks for the end of a file hears that nothing comes, however busy the recipient is with another one."""
    alice, bob, carol = host.make(), host.make(), host.make()
    bob.receive_files(tmp_path / "in", wait_seconds=0.5)
    for agent in (alice, bob, carol):
        await host.open(agent)
    await connected(carol, bob)
    share = await offered(alice, bob, file_of(tmp_path, 100_000), "silent")
    steps: asyncio.Queue[Step] = asyncio.Queue()
    large = file_of(tmp_path, 64 * MIB, "large")
    moving = asyncio.create_task(carol.share(large, bob.did, progress=steps.put_nowait))
    async with asyncio.timeout(SECONDS):
        while (await steps.get()).done == 0:
            pass
        answer = await alice.call(bob.did, capability=COMPLETE, args={"share": share})

    assert 0 == answer["have"]
    assert not moving.done()
    moving.cancel()
    await asyncio.wait({moving})


async def test_disk_that_fails_is_told_to_both(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender hears at once that it cannot be written down, and the recipient's application hears why."""

    def pwrite(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    alice, bob = host.make(), host.make()
    bob.receive_files(tmp_path / "in")
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    bob.on_error(errors.put_nowait)
    await host.open(alice)
    await host.open(bob)
    await connected(alice, bob)
    monkeypatch.setattr(os, "pwrite", pwrite)
    async with asyncio.timeout(SECONDS):
        with pytest.raises(TransferRefused, match=CANNOT_WRITE):
            await alice.share(file_of(tmp_path, 100_000), bob.did)
        error = await errors.get()

    assert isinstance(error, OSError)
    assert errno.EIO == error.errno


@pytest.mark.parametrize("size", [8 * MIB, MIB], ids=["other", "shorter"])
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "mailbox"])
async def test_file_that_changes_is_not_sent_on(host: Host, tmp_path: Path, size: int, direct: bool) -> None:
    """Whoever shares it hears that it changed, and nothing of it is delivered."""
    path = file_of(tmp_path, 8 * MIB)
    alice, bob = host.make(), host.make()
    bob.receive_files(tmp_path / "in")
    await host.open(alice)
    await host.open(bob)
    if direct:
        await connected(alice, bob)

    def note(_step: Step) -> None:
        with path.open("r+b") as file:
            file.truncate(size)
            file.seek(-10, os.SEEK_END)
            file.write(bytes(10))

    async with asyncio.timeout(SECONDS):
        with pytest.raises(TransferRefused, match="changed meanwhile"):
            await alice.share(path, bob.did, progress=note, direct=False)

    assert [] == [each for each in (tmp_path / "in").iterdir() if each.is_file()]


class Receiver:
    """A process that takes files, and can be killed."""

    def __init__(self, platform: Platform, folder: Path, key: Path) -> None:
        words = ("receive", "--folder", str(folder), "--url", platform.endpoints().nats, "--identity", str(key))
        self._command = (sys.executable, "-c", RECEIVE, *words)

    async def start(self) -> asyncio.subprocess.Process:
        """Start it, and wait until it is there."""
        process = await asyncio.create_subprocess_exec(*self._command, stderr=asyncio.subprocess.PIPE)
        assert process.stderr is not None
        line = await process.stderr.readline()
        assert line.startswith(b"receiving as "), line
        return process


async def test_sender_does_not_wait_for_a_dead_recipient(host: Host, platform: Platform, tmp_path: Path) -> None:
    """It leaves a channel once the connection is silent, and asks by mail, however long it would bear that rest."""
    path = file_of(tmp_path, 60 * MIB)
    key = tmp_path / "bob.key"
    bob = Identity.load_or_create(key)
    receiver = Receiver(platform, tmp_path / "in", key)
    moving = asyncio.Event()

    def note(step: Step) -> None:
        if step.done > MIB and step.road == "direct":
            moving.set()

    alice = await host.open(host.make())
    told: asyncio.Queue[Notice] = asyncio.Queue()
    async with asyncio.timeout(100):
        first = await receiver.start()
        sharing = asyncio.create_task(alice.share(path, bob.did, progress=note, stall_seconds=600.0))
        await moving.wait()
        first.kill()
        await first.wait()
        alice.on_receipt(told.put_nowait)
        asked = await told.get()
        second = await receiver.start()
        shared = await sharing
        second.send_signal(signal.SIGINT)
        await second.wait()

    assert bob.did == asked.recipient
    assert 60 * MIB == shared.size
    assert path.read_bytes() == (tmp_path / "in" / "evidence.bin").read_bytes()
