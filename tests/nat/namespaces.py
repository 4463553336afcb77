"""Network namespaces by name: made, entered by programs, and cleared of everything that runs in them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping

COMMAND_SECONDS = 20.0
END_SECONDS = 3.0
POLL_SECONDS = 0.02

ENVIRONMENT: Mapping[str, str] = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}


class CommandFailed(RuntimeError):
    """A command of the system did not do what it was told."""


def run(*command: str, stdin: str = "", must: bool = True) -> str:
    """
    Run a short command.

    Returns:
        What it wrote to standard output, or to standard error if it failed and need not succeed.

    Raises:
        CommandFailed: If it failed and must not.

    """
    done = subprocess.run(
        command, input=stdin, text=True, capture_output=True, timeout=COMMAND_SECONDS, env=ENVIRONMENT, check=False
    )
    if not done.returncode:
        return done.stdout
    if must:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stderr


def entering(namespace: str) -> tuple[str, ...]:
    """What to put before a command so that it runs in a namespace, with the same pid."""
    return ("ip", "netns", "exec", namespace)


def inside(namespace: str, *command: str, stdin: str = "", must: bool = True) -> str:
    """Run a short command in a namespace."""
    return run(*entering(namespace), *command, stdin=stdin, must=must)


def configure(namespace: str, *lines: str) -> None:
    """Give ``ip`` several commands at once."""
    run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(lines) + "\n")


def add(namespace: str, *, forwarding: bool = False) -> None:
    """Make a namespace with its loopback up, IPv4 only."""
    run("ip", "netns", "add", namespace)
    configure(namespace, "link set lo up")
    inside(namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", f"net.ipv4.ip_forward={int(forwarding)}")


def existing(prefix: str) -> list[str]:
    """Those whose names begin so."""
    names = (line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip())
    return [name for name in names if name.startswith(prefix)]


def sweep(prefix: str) -> None:
    """End, by pid, everything inside the namespaces of a prefix, then delete them; nothing there is fine."""
    names = existing(prefix)
    for how in (signal.SIGTERM, signal.SIGKILL):
        pids = [int(pid) for name in names for pid in run("ip", "netns", "pids", name, must=False).split()]
        if not pids:
            break
        _tell(pids, how)
        _await_end(pids)
    for name in names:
        run("ip", "netns", "del", name, must=False)


def _tell(pids: Iterable[int], how: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            continue


def _await_end(pids: Iterable[int]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while any(_is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that only waits for its parent to look does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
