"""Tell whoever started us which ports were taken."""

from pathlib import Path

import msgspec

from aiconexus.runtime.logs import Log


class Ports:
    """
    The ports of this process, in its log and in a JSON file such as ``{"metrics": 9090, "http": 8080}``.

    Args:
        service: The first word of the event.
        path: Of the file, or None; it appears with the first port and is replaced as a whole with each further one.
        log: Of the process.

    """

    def __init__(self, service: str, path: str | None, log: Log) -> None:
        self._service = service
        self._path = None if path is None else Path(path)
        self._log = log
        self._taken: dict[str, int] = {}

    def announce(self, name: str, port: int) -> None:
        """Say that we listen on a port: ``metrics``, ``http``."""
        self._taken[name] = port
        if self._path is not None:
            draft = self._path.with_name(self._path.name + ".new")
            draft.write_bytes(msgspec.json.encode(self._taken))
            draft.replace(self._path)
        self._log.info(f"{self._service}.{name}_listening", port=port)
