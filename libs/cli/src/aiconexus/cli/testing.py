"""A whole platform for tests, with everything that its parts say kept in a file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiconexus.cli.platform import Platform


@asynccontextmanager
async def logged_platform(folder: Path, **options: Any) -> AsyncIterator[Platform]:
    """
    A platform for the length of a block: its home is ``home`` in the folder, what its parts say goes to ``log``.

    Args:
        folder: Exists.
        options: Of the ``Platform``.

    """
    with (folder / "log").open("w") as log:

        def keep(name: str, line: str) -> None:
            log.write(f"{name}: {line}\n")
            log.flush()

        async with Platform(folder / "home", on_line=keep, **options) as platform:
            yield platform
