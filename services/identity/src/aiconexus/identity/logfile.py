"""
Read what is appended to a file that others write: across rotation and truncation, a bounded piece at a time.

Whoever follows a file holds a lock on its folder, so that of several processes on a machine one reads each line.
"""

import fcntl
import os
from io import FileIO
from pathlib import Path

PIECE_BYTES = 256 * 1024
LINE_MAX_BYTES = 64 * 1024
"""A longer one is dropped; the server's own are much shorter."""
BEHIND_MAX_BYTES = 4 * 1024 * 1024
"""Who is further behind goes on near the end: what writes so much must not keep us busy for ever."""


class LogFile:
    """
    The lines that are appended from now on.

    Reading blocks as long as the disk does, so do it in a thread.

    Args:
        path: Need not exist yet; one that exists at the first look is read from its end.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder: int | None = None
        self._file: FileIO | None = None
        self._looked = False
        self._rest = b""
        self._is_cut = False
        self.skipped_bytes = 0

    def close(self) -> None:
        """Let go of everything; another process may follow."""
        self._let_go()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def hold(self) -> bool:
        """
        Whether we are the one who reads.

        Raises:
            OSError: If the folder cannot be opened.

        """
        if self._folder is None:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(folder)
                return False
            self._folder = folder
        return True

    def read(self) -> list[bytes]:
        """
        The next complete lines; none if nothing new is there.

        Raises:
            OSError: If the file exists and cannot be read.

        """
        file = self._file or self._open()
        if file is None:
            return []
        lines = self._lines(file)
        if not lines and self._was_replaced(file):
            # Nobody writes to the old one any more, but somebody may have between our two looks.
            lines = self._lines(file)
            if not lines:
                self._let_go()
        return lines

    def _open(self) -> FileIO | None:
        try:
            self._file = FileIO(self._path)
        except FileNotFoundError:
            self._looked = True
            return None
        if not self._looked:
            self._file.seek(0, os.SEEK_END)
            self._looked = True
        return self._file

    def _lines(self, file: FileIO) -> list[bytes]:
        self._find_place(file)
        *lines, self._rest = (self._rest + file.read(PIECE_BYTES)).split(b"\n")
        if self._is_cut and lines:
            lines, self._is_cut = lines[1:], False
        if len(self._rest) > LINE_MAX_BYTES:
            self._rest, self._is_cut = b"", True
        return lines

    def _find_place(self, file: FileIO) -> None:
        size, here = os.fstat(file.fileno()).st_size, file.tell()
        if size < here:
            here = 0  # truncated
            self._jump(file, here, cut=False)
        if size - here > BEHIND_MAX_BYTES:
            self.skipped_bytes += size - PIECE_BYTES - here
            self._jump(file, size - PIECE_BYTES, cut=True)

    def _jump(self, file: FileIO, where: int, *, cut: bool) -> None:
        file.seek(where)
        self._rest, self._is_cut = b"", cut

    def _was_replaced(self, file: FileIO) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return not os.path.samestat(there, os.fstat(file.fileno()))

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._rest, self._is_cut = b"", False
