"""What a machine lacks for the bed, tried in a namespace of its own, so that the suites can say why they skip."""

import os
import shutil
import sys
from functools import cache
from pathlib import Path

from tests.nat import namespaces
from tests.turn import coturn

PROGRAMS = ("ip", "iptables", "iptables-restore", "sysctl", "setpriv")
TRIALS = (
    ("veth", "ip link add v0 type veth peer name v1"),
    ("bridge", "ip link add b0 type bridge"),
    ("MASQUERADE", "iptables -t nat -A POSTROUTING -o v0 -p udp -j MASQUERADE --to-ports 20000-24999 --random"),
    ("DNAT", "iptables -t nat -A PREROUTING -p udp -j DNAT --to-destination 10.0.0.2"),
    ("recent", "iptables -A FORWARD -p udp -m recent --name seen --set --rdest"),
    ("statistic", "iptables -A FORWARD -m statistic --mode random --probability 0.1 -j DROP"),
)
DELAY = ("NFQUEUE", "iptables -A OUTPUT -j NFQUEUE --queue-num 7 --queue-bypass")


@cache
def lacking() -> str:
    """Why no bed can stand here; empty if one can."""
    if os.geteuid():
        return "network namespaces take root"
    path = namespaces.ENVIRONMENT["PATH"]
    if absent := [program for program in PROGRAMS if not shutil.which(program, path=path)]:
        return f"not installed: {', '.join(absent)}"
    return coturn.lacking() or _tried((*TRIALS, DELAY))


def _tried(trials: tuple[tuple[str, str], ...]) -> str:
    name = f"axnat-trial-{os.getpid()}"
    refused = namespaces.run("ip", "netns", "add", name, must=False)
    if refused:
        return f"no network namespace can be made: {refused.strip()}"
    try:
        for feature, command in trials:
            try:
                namespaces.inside(name, *command.split())
            except namespaces.CommandFailed as error:
                return f"this kernel lacks {feature}: {error}"
    finally:
        namespaces.run("ip", "netns", "del", name, must=False)
    return ""


def main() -> None:
    """Say it."""
    reason = lacking()
    print(reason or "everything is there")  # noqa: T201
    sys.exit(bool(reason))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
