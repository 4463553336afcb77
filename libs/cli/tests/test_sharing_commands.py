"""`aiconexus share` and `aiconexus receive`, against a running platform."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiconexus.cli.options import platform_url
from aiconexus.sdk import Agent, Identity
from aiconexus.sdk.sharing.pieces import OFFER

PROGRAM = (sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())")
STRANGER = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"


def words_of(home: Path, *words: str) -> list[str]:
    """A command against the platform in a home."""
    return [*PROGRAM, *words, "--home", str(home)]


def aiconexus(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(words_of(home, *words), capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a platform runs."""
    home = tmp_path_factory.mktemp("home")
    with subprocess.Popen(
        words_of(home, "up", "--port", "0", "--nats-port", "0"), stdout=subprocess.PIPE, text=True
    ) as up:
        assert up.stdout is not None
        assert any("AIConexus is up." in line for line in up.stdout)
        yield home
        up.terminate()
        up.communicate(timeout=60)


class Receiver:
    """A running `aiconexus receive`."""

    def __init__(self, home: Path, folder: Path, *words: str) -> None:
        command = words_of(home, "receive", "--folder", str(folder), "--json", *words)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert line.startswith("receiving as "), line
        self.did = line.split()[2].rstrip(";")

    def next(self) -> Any:
        """What it prints of the next file."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self, number: int = signal.SIGINT) -> int:
        """End it."""
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


def test_file_is_shared_and_received(home: Path, tmp_path: Path) -> None:
    """Both commands tell programs of the same file, which is the one that was sent; Ctrl-C is a good end."""
    original = tmp_path / "evidence.bin"
    original.write_bytes(os.urandom(3_000_000))
    receiver = Receiver(home, tmp_path / "in")
    done = aiconexus(home, "share", str(original), receiver.did, "--json")
    told = receiver.next()

    assert (0, "") == (done.returncode, done.stderr)
    shared = json.loads(done.stdout)
    digest = hashlib.sha256(original.read_bytes()).hexdigest()
    assert ("evidence.bin", 3_000_000, digest, "direct") == (
        shared["name"],
        shared["size"],
        shared["sha256"],
        shared["road"],
    )
    assert (str(tmp_path / "in" / "evidence.bin"), digest) == (told["path"], told["sha256"])
    assert original.read_bytes() == Path(told["path"]).read_bytes()
    assert 0 == receiver.end()


def test_receiver_that_was_killed_goes_on(home: Path, tmp_path: Path) -> None:
    """Nobody could say goodbye; the second process takes what is missing, and the file is whole."""
    original = tmp_path / "evidence.bin"
    original.write_bytes(os.urandom(60_000_000))
    receiver = Receiver(home, tmp_path / "in")
    command = words_of(home, "share", str(original), receiver.did, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sharing:
        states = tmp_path / "in" / ".aiconexus-share"
        while not any(b'"have":0' not in path.read_bytes() for path in states.glob("*.state")):
            assert sharing.poll() is None
        receiver.end(signal.SIGKILL)
        had = max(json.loads(path.read_bytes())["have"] for path in states.glob("*.state"))
        again = Receiver(home, tmp_path / "in")
        told = again.next()
        output, _ = sharing.communicate(timeout=120)

    assert had > 0
    assert (0, again.did) == (sharing.returncode, receiver.did)
    assert original.read_bytes() == Path(told["path"]).read_bytes()
    assert 60_000_000 == json.loads(output)["size"]
    assert 0 == again.end()


def test_refusal_and_absence_have_their_statuses(home: Path, tmp_path: Path) -> None:
    """4 for who does not want it or does not exist, 5 for who does not answer in time, 2 for no file."""
    original = tmp_path / "evidence.bin"
    original.write_bytes(b"x")
    receiver = Receiver(home, tmp_path / "in", "--from", STRANGER)
    refused = aiconexus(home, "share", str(original), receiver.did)
    receiver.end()
    late = aiconexus(home, "share", str(original), receiver.did, "--relay", "--timeout", "1")
    unknown = aiconexus(home, "share", str(original), STRANGER)
    missing = aiconexus(home, "share", str(tmp_path / "nothing"), receiver.did)

    assert [4, 5, 4, 2] == [done.returncode for done in (refused, late, unknown, missing)]
    assert "does not want it" in refused.stderr


async def test_recipient_does_not_steer_a_terminal(home: Path, tmp_path: Path) -> None:
    """What it says that a file is called there is shown without what would clear the screen or forge a line."""
    original = tmp_path / "evidence.bin"
    original.write_bytes(b"x")
    agent = Agent(Identity.generate(), platform_url(None, home))

    @agent.capability(OFFER)
    def offer(_args: dict[str, Any]) -> dict[str, Any]:
        return {"leaves": 1, "have": 1, "name": "\x1b[2Jgood\nevidence.bin: all is well"}

    async with agent:
        done = await asyncio.to_thread(aiconexus, home, "share", str(original), agent.did, "--relay")

    assert 0 == done.returncode
    assert done.stdout.rstrip("\n").isprintable()


def test_pipe_is_no_file(home: Path, tmp_path: Path) -> None:
    """Nobody waits for what no one writes: it is said at once."""
    os.mkfifo(tmp_path / "pipe")
    done = aiconexus(home, "share", str(tmp_path / "pipe"), STRANGER)

    assert 1 == done.returncode
    assert "no regular file" in done.stderr


def test_file_whose_name_cannot_travel_needs_another(home: Path, tmp_path: Path) -> None:
    """Hidden files and those with long names are shared under a name that is given; the command says so."""
    (tmp_path / ".hidden").write_bytes(b"x")
    receiver = Receiver(home, tmp_path / "in")
    refused = aiconexus(home, "share", str(tmp_path / ".hidden"), receiver.did)
    done = aiconexus(home, "share", str(tmp_path / ".hidden"), receiver.did, "--name", "shown", "--relay")
    receiver.end()

    assert [2, 0] == [refused.returncode, done.returncode]
    assert "--name" in refused.stderr
