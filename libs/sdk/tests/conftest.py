from collections.abc import Iterator

import pytest

from aiconexus.sdk.journal import MEMORY, Journal


@pytest.fixture
def journal() -> Iterator[Journal]:
    """A journal in memory."""
    journal = Journal(MEMORY)
    yield journal
    journal.close()
