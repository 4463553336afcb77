"""One composed set for all tests here, and what it said if one of them failed."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from tests.containers.composed import Composed, sweep

OURS = (
    "AICONEXUS_HOME",
    "AICONEXUS_UID",
    "AICONEXUS_GID",
    "AICONEXUS_TAG",
    "COMPOSE_FILE",
    "COMPOSE_PROJECT_NAME",
    "COMPOSE_PROFILES",
)
"""What compose would rather believe than the file that names our set."""


@pytest.fixture(scope="session")
def swept() -> Iterator[None]:
    """Nothing of earlier runs, and an environment that says nothing of other sets."""
    with pytest.MonkeyPatch.context() as environment:
        for name in OURS:
            environment.delenv(name, raising=False)
        sweep()
        yield


@pytest.fixture(scope="session")
def composed(swept: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """The running set: one container of each service, from images that were built now."""
    folder = tmp_path_factory.mktemp("composed")
    composed = Composed(folder / "home", "main")
    try:
        try:
            composed.start()
        except CalledProcessError as error:
            pytest.fail(f"{error.stderr.decode()[-2000:]}\n{composed.logs()[-4000:]}")
        yield composed
    finally:
        (folder / "log").write_text(composed.logs())
        composed.down()


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """Where the agents of a test keep their keys, their state and the test's journals."""
    return tmp_path
