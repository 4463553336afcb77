import os
from pathlib import Path

import msgspec
import pytest

from aiconexus.cli.failure import Exit, Failure
from aiconexus.cli.options import Running, host_and_port, platform_url, running


def written(home: Path, pid: int) -> Running:
    """A platform's note of where it is reached."""
    found = Running(pid=pid, platform="did:key:z", nats="nats://h:1", ws="ws://h:2/ws", http="", monitor="", health={})
    (home / "endpoints.json").write_bytes(msgspec.json.encode(found))
    return found


def test_the_running_platform_is_found(tmp_path: Path) -> None:
    """What runs in the home is where a command connects by default."""
    found = written(tmp_path, os.getpid())

    assert found == running(tmp_path)
    assert platform_url(None, tmp_path) == "nats://h:1"


@pytest.mark.parametrize("prepare", [lambda _: None, lambda home: written(home, 2**22 + 1)], ids=["none", "dead"])
def test_no_platform_is_told_with_a_way_out(tmp_path: Path, prepare: object) -> None:
    """A stranger learns how to start one; a note of a platform that died does not count."""
    assert callable(prepare)
    prepare(tmp_path)

    with pytest.raises(Failure, match="aiconexus up") as caught:
        running(tmp_path)

    assert caught.value.status is Exit.UNREACHABLE


def test_another_platform_may_be_named(tmp_path: Path) -> None:
    """--url counts without any home."""
    assert platform_url("wss://x/ws", tmp_path) == "wss://x/ws"


def test_an_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Only the two roads are addresses."""
    with pytest.raises(Failure, match="no address"):
        platform_url("example.org", tmp_path)


def test_host_and_port_are_taken_apart() -> None:
    """The last colon separates them."""
    assert ("::", 1) == host_and_port(":::1", "--listen")


@pytest.mark.parametrize("text", ["", "4222", ":1", "h:", "h:x", "h:65536", "h:-1"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    """The message names the option and shows an example."""
    with pytest.raises(Failure, match=r"--listen wants HOST:PORT, such as 0\.0\.0\.0:4222"):
        host_and_port(text, "--listen")
