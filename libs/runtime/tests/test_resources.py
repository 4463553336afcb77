from pathlib import Path

import pytest

from aiconexus.runtime.resources import Use, disk_use, memory_use


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A process of 2 MiB on a machine of 8 MiB, in the control group /outer/inner."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/status").write_text("Name:\tprobe\nVmRSS:\t    2048 kB\n")
    (proc / "meminfo").write_text("MemTotal:        8192 kB\n")
    (proc / "self/cgroup").write_text("0::/outer/inner\n")
    return proc


def group(path: Path, limit: str, used: int, inactive: int = 0) -> None:
    """Write the files of a control group of version 2."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "memory.max").write_text(limit + "\n")
    (path / "memory.current").write_text(f"{used}\n")
    (path / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")


def test_without_a_limit_the_process_is_compared_with_the_machine(proc: Path, tmp_path: Path) -> None:
    """On a plain machine the resident memory counts."""
    group(tmp_path / "cgroup/outer/inner", "max", 1000)

    assert memory_use(proc, tmp_path / "cgroup") == Use(2048 * 1024, 8192 * 1024)


def test_the_tightest_limit_above_the_process_counts(proc: Path, tmp_path: Path) -> None:
    """The kernel ends the process at whichever limit comes first; file cache can be reclaimed."""
    group(tmp_path / "cgroup/outer", "1000", 900, inactive=100)
    group(tmp_path / "cgroup/outer/inner", "2000", 500)

    assert memory_use(proc, tmp_path / "cgroup") == Use(800, 1000)


def test_inside_a_container_the_root_holds_the_limit(proc: Path, tmp_path: Path) -> None:
    """There the path of the group is not visible."""
    (proc / "self/cgroup").write_text("0::/\n")
    group(tmp_path / "cgroup", "1000", 760)

    assert memory_use(proc, tmp_path / "cgroup").ratio == 0.76


def test_control_groups_of_version_1_count(proc: Path, tmp_path: Path) -> None:
    """Old hosts are still around; their unlimited is a huge number."""
    (proc / "self/cgroup").write_text("4:cpu:/x\n3:memory:/job\n")
    job = tmp_path / "cgroup/memory/job"
    job.mkdir(parents=True)
    (job / "memory.limit_in_bytes").write_text("4000\n")
    (job / "memory.usage_in_bytes").write_text("1500\n")
    (job / "memory.stat").write_text("total_inactive_file 500\n")
    (job.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (job.parent / "memory.usage_in_bytes").write_text("99\n")

    assert memory_use(proc, tmp_path / "cgroup") == Use(1000, 4000)


def test_this_machine_has_memory_and_a_disk() -> None:
    """The real files are understood."""
    assert 0 < memory_use().used_bytes < memory_use().limit_bytes
    assert 0 < disk_use("/").used_bytes <= disk_use("/").limit_bytes
