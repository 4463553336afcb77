"""For folders of tests that need more than Python: a browser, a TURN server, network namespaces."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


def skip_without(lacking: Callable[[], str], folder: Path, items: Iterable[pytest.Item]) -> None:
    """
    Skip the tests of a folder where something is missing, and say what.

    Args:
        lacking: What is missing, empty if nothing; only called if there are such tests.
        folder: Whose tests.
        items: All that were collected.

    """
    ours = [item for item in items if folder in item.path.parents]
    if ours and (reason := lacking()):
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))
