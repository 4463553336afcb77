"""The bed, where one can stand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nat.lab import Lab
from tests.nat.needs import lacking

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why nothing of this folder can run here."""
    ours = [item for item in items if HERE in item.path.parents]
    if ours and (reason := lacking()):
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A public network to put sites around."""
    with Lab() as lab:
        yield lab
