"""The bed, where one can stand, and a table of what was found in it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.nat.lab import Lab
from tests.nat.needs import lacking
from tests.nat.pairs import Outcome
from tests.nat.trials import Trial, Trials
from tests.nat.world import World
from tests.skipping import skip_without

HERE = Path(__file__).parent
FOUND: dict[str, Outcome] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why nothing of this folder can run here."""
    skip_without(lacking, HERE, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what became of the mail in each trial."""
    if not FOUND:
        return
    heads = ("sent", "lost", "doubled", "disordered", "gap s", "roads")
    terminalreporter.section("pairs behind NATs")
    terminalreporter.write_line(_row("trial", "open s", *heads))
    for name, outcome in FOUND.items():
        shown = outcome.shown
        cells = (f"{outcome.open_seconds:.2f}", *(shown[head] for head in heads))
        terminalreporter.write_line(_row(name, *cells))


def _row(name: str, *cells: str) -> str:
    return f"{name:40}" + "".join(f"{cell:>11}" for cell in cells[:-1]) + f"  {cells[-1]}"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A public network to put sites around."""
    with Lab() as lab:
        yield lab


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A platform and a TURN server in a public network."""
    with Lab() as lab:
        async with World(lab, tmp_path_factory.mktemp("world")) as world:
            yield world


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trials(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Trials]:
    """All selected trials of a module, under way side by side."""
    trials = Trials(world, FOUND)
    trials.begin(_selected(request))
    yield trials
    await trials.end()


def _selected(request: pytest.FixtureRequest) -> list[Trial]:
    items = (item for item in request.session.items if item.path == request.path)
    found = (getattr(item, "callspec", None) for item in items)
    return [spec.params["trial"] for spec in found if spec is not None]
