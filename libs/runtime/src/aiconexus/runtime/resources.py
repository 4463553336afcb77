"""How much of its memory and disk a process uses, inside a container and outside."""

import os
from pathlib import Path

import msgspec


class Use(msgspec.Struct, frozen=True):
    """A part of a whole, both in bytes."""

    used_bytes: int
    limit_bytes: int

    @property
    def ratio(self) -> float:
        """The used share."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


def memory_use(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Use:
    """
    The memory of the control group that comes closest to its limit, or of this process where none has a limit.

    Reclaimable file cache does not count. Linux, control groups version 2 and 1.
    """
    uses = [use for group in _groups(proc, cgroups) if (use := _group_use(group))]
    if uses:
        return max(uses, key=lambda use: use.ratio)
    return Use(_kibibytes(proc / "self/status", "VmRSS"), _kibibytes(proc / "meminfo", "MemTotal"))


def disk_use(path: str) -> Use:
    """The space of the file system that holds a path, as an ordinary user sees it."""
    found = os.statvfs(path)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    return Use(used, used + found.f_bavail * found.f_frsize)


def _groups(proc: Path, cgroups: Path) -> list[Path]:
    """The control group of this process and all above it; inside a container the innermost is the root."""
    groups = [cgroups, cgroups / "memory"]
    for line in _text(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        group = cgroups / controllers
        for part in Path(path).parts[1:]:
            group /= part
            groups.append(group)
    return groups


def _group_use(group: Path) -> Use | None:
    for limit_name, used_name, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, used = _text(group / limit_name).strip(), _text(group / used_name).strip()
        # Version 1 writes "no limit" as nearly 2**63.
        if limit.isdigit() and used.isdigit() and int(limit) < 1 << 60:
            return Use(max(0, int(used) - _statistic(group, cache_name)), int(limit))
    return None


def _statistic(group: Path, name: str) -> int:
    for line in _text(group / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _kibibytes(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
