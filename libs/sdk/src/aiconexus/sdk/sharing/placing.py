"""Give a file that has come as a whole its name, without touching what lies there."""

import contextlib
import errno
from pathlib import Path

from aiconexus.protocol.direct_errors import TransferRefused

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems say that cannot give a file a second name."""
NAMES_MAX = 1000


def place(part: Path, folder: Path, name: str, *, overwrite: bool) -> Path:
    """
    Give a file its name, or one like it that is free.

    Args:
        part: What it is called now, in the same file system.
        folder: Where it belongs.
        name: What it should be called.
        overwrite: Whether it takes the place of a file of that name.

    Raises:
        TransferRefused: If no such name is free, or it is that of a folder.

    """
    if overwrite:
        if (folder / name).is_dir():
            raise TransferRefused(name, "there is a folder of this name")
        return part.replace(folder / name)
    stem, suffix = Path(name).stem, Path(name).suffix
    for number in range(NAMES_MAX):
        path = folder / (f"{stem} ({number}){suffix}" if number else name)
        with contextlib.suppress(FileExistsError):
            _move(part, path)
            return path
    raise TransferRefused(name, "too many files have this name")


def mark_of(path: Path) -> tuple[int, ...]:
    """Whether a file is still the same, as far as one can tell without reading it."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _move(part: Path, path: Path) -> None:
    """
    Give a file a name that nothing has yet.

    Raises:
        FileExistsError: If something has it.

    """
    try:
        path.hardlink_to(part)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        path.touch(0o600, exist_ok=False)
        part.replace(path)
    else:
        part.unlink()
