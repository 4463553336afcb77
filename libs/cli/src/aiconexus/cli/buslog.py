"""The lines of nats-server in a file of bounded size, for identity to count what the server refused."""

from pathlib import Path
from typing import IO

MAX_BYTES = 8 * 1024 * 1024


class BusLog:
    """
    Such a file, with one before it.

    Args:
        path: Its folder must exist when the first line comes.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: IO[bytes] | None = None

    def write(self, line: str) -> None:
        """Append a line; a full file makes room for a new one, and its reader finds both."""
        try:
            self._append(line.encode() + b"\n")
        except OSError:
            # A full disk must not end the reading of the server's output: it would wait for its reader for ever.
            self.close()

    def _append(self, line: bytes) -> None:
        if self._stream is None:
            self._stream = self.path.open("ab", buffering=0)
        self._stream.write(line)
        if self._stream.tell() >= MAX_BYTES:
            self.close()
            self.path.replace(self.path.with_suffix(".log.1"))

    def close(self) -> None:
        """Write no more, until the next line."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
