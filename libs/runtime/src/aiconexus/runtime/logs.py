"""
One event a line on standard output: JSON for machines, or readable on a terminal.

Libraries that use ``logging`` come out of the same renderer. Tracebacks never show local variables: they hold keys.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

Log = FilteringBoundLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_encoder = msgspec.json.Encoder(enc_hook=repr)


def configure(level: str, form: str, **facts: str) -> Log:
    """
    Set up the logs of the process.

    Args:
        level: The least that is shown of our own events; libraries show warnings, and more at ``debug`` only.
        form: ``json``, ``console``, or ``auto``.
        facts: Stand in every line: service, instance, version.

    """
    console = form == "console" or (form == "auto" and sys.stdout.isatty())
    before: list[Processor] = [
        _bind(facts),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not console:
        before.append(structlog.processors.format_exc_info)
    renderer = _console() if console else _json
    structlog.configure(
        processors=[*before, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    _route_libraries(level, before, renderer)
    log: Log = structlog.get_logger()
    return log


class Throttle:
    """
    Lets a few lines a second pass and counts the others, so that a remote cannot fill our disk.

    Args:
        lines_per_second: How many pass.

    """

    def __init__(self, lines_per_second: int = 5) -> None:
        self._limit = lines_per_second
        self._second = 0
        self._passed = 0
        self._dropped = 0

    def admit(self, now_ms: int) -> int | None:
        """How many were dropped since the last line, or None if this one is dropped, too."""
        second = now_ms // 1000
        if second != self._second:
            self._second, self._passed = second, 0
        if self._passed >= self._limit:
            self._dropped += 1
            return None
        self._passed += 1
        dropped, self._dropped = self._dropped, 0
        return dropped


def _bind(facts: dict[str, str]) -> Processor:
    def add(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**facts, **event}

    return add


def _json(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> str:
    return _encoder.encode(event).decode()


def _console() -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=32
    )


def _route_libraries(level: str, before: list[Processor], renderer: Processor) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if level == "debug" else max(logging.WARNING, _LEVELS[level]))
    logging.captureWarnings(capture=True)
