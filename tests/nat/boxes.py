"""
The rules of a NAT box, as text for ``iptables-restore``: what kind of NAT it is, what it lets out, and what is broken.

The kinds are those of RFC 3489 by name and of RFC 4787 by behaviour. The box forwards between ``lan`` and ``wan``.
"""

from collections.abc import Sequence
from enum import StrEnum


class Kind(StrEnum):
    """How a box maps and filters UDP."""

    FULL_CONE = "full cone"
    """Endpoint-independent mapping and filtering."""
    ADDRESS = "address-restricted"
    """Endpoint-independent mapping, address-dependent filtering."""
    PORT = "port-restricted"
    """Endpoint-independent mapping, address- and port-dependent filtering."""
    SYMMETRIC = "symmetric"
    """Address- and port-dependent mapping and filtering."""


class Block(StrEnum):
    """What a firewall beside the NAT keeps from going out."""

    NOTHING = "nothing blocked"
    UDP = "UDP blocked"
    ALL_BUT_443 = "only TCP 443 open"
    ALL_BUT_BUS = "only the bus open"


PORTS_AT_A_TIME = 5000
SEEN_SECONDS = 300


def rules(kind: Kind, block: Block, *, host: str, bus: str, first_port: int = 0) -> str:
    """
    Everything but what is broken for now.

    Args:
        kind: Of the NAT.
        block: What is kept in.
        host: The address behind it.
        bus: The address of the bus outside.
        first_port: Where the public ports begin; 0 leaves the choice to the kernel. Another one rebinds the NAT.

    """
    return "\n".join((*_nat(kind, host, first_port), *_filter(kind, block, bus), ""))


def faults(broken: Sequence[str]) -> str:
    """The chain of what is broken for now: matches and targets, such as ``-p udp -j DROP``; none heals everything."""
    lines = ("*filter", ":FAULT -", *(f"-A FAULT {rule}" for rule in broken), "COMMIT", "")
    return "\n".join(lines)


def _nat(kind: Kind, host: str, first_port: int) -> list[str]:
    ports = f" --to-ports {first_port}-{first_port + PORTS_AT_A_TIME - 1}" if first_port else ""
    chance = " --random" if kind is Kind.SYMMETRIC else ""
    lines = ["*nat", ":PREROUTING ACCEPT", ":INPUT ACCEPT", ":OUTPUT ACCEPT", ":POSTROUTING ACCEPT"]
    if kind is Kind.FULL_CONE:
        lines.append(f"-A PREROUTING -i wan -p udp -j DNAT --to-destination {host}")
    if kind is Kind.ADDRESS:  # answers from any port of an address that was sent to
        lines.append(
            f"-A PREROUTING -i wan -p udp -m recent --name seen --rcheck --rsource --seconds {SEEN_SECONDS}"
            f" -j DNAT --to-destination {host}"
        )
    lines += [f"-A POSTROUTING -o wan -p {protocol} -j MASQUERADE{ports}{chance}" for protocol in ("udp", "tcp")]
    return [*lines, "-A POSTROUTING -o wan -j MASQUERADE", "COMMIT"]


def _filter(kind: Kind, block: Block, bus: str) -> list[str]:
    lines = ["*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT", ":FAULT -", ":POLICY -"]
    # A packet for the box itself would make a conntrack entry and take the port that a mapping is about to use.
    lines.append("-A INPUT -i wan -j DROP")
    if kind is Kind.ADDRESS:
        lines.append("-A FORWARD -o wan -p udp -m recent --name seen --set --rdest")
    lines += ["-A FORWARD -j FAULT", "-A FORWARD -o wan -j POLICY"]
    return [*lines, *(f"-A POLICY {rule}" for rule in _policy(block, bus)), "COMMIT"]


def _policy(block: Block, bus: str) -> Sequence[str]:
    open_ = {
        Block.UDP: ["-p tcp -j RETURN", "-p udp --dport 53 -j RETURN"],
        Block.ALL_BUT_443: ["-p tcp --dport 443 -j RETURN"],
        Block.ALL_BUT_BUS: [f"-p tcp -d {bus} -j RETURN"],
    }
    return [*open_[block], "-j DROP"] if block in open_ else []
