"""The lines of all processes in one readable stream: time, who, what, and the facts."""

from typing import Any

import msgspec
from rich.text import Text

from aiconexus.cli.shown import printable

COLOURS = {
    "nats": "magenta",
    "identity": "cyan",
    "relay": "green",
    "retry": "yellow",
    "signaling": "bright_cyan",
    "edge": "blue",
    "up": "bold",
}
LEVELS = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
BOUND = frozenset({"event", "level", "timestamp", "service", "instance", "version", "environment", "exception"})
"""Members of an event that stand elsewhere in the line, or in every line."""

NAME_WIDTH = 10
FACTS_CHARACTERS = 200
"""More of an event than this is in its own JSON, not here."""

_BUS_LEVELS = {"[WRN]": "warning", "[ERR]": "error", "[FTL]": "error"}


def line_of(name: str, raw: str) -> Text | None:
    """
    One line for the terminal.

    Returns:
        None for what the bus says of itself while all is well.

    """
    if name == "nats":
        return _bus_line(raw)
    event = _event(raw)
    if event is None:
        return _line(name, "", raw, "")
    clock = str(event.get("timestamp", ""))[11:19]
    facts = " ".join(f"{key}={_fact(value)}" for key, value in event.items() if key not in BOUND)
    line = _line(name, str(event.get("level", "")), str(event["event"]), facts, clock)
    if "exception" in event:
        line.append(f"\n{printable(str(event['exception']))}", LEVELS["error"])
    return line


def words_of(raw: str) -> str:
    """
    What a line says, short and without colours.

    Of an exception that is its last line, not the way there.
    """
    event = _event(raw)
    if event is None:
        return raw
    facts = " ".join(f"{key}={_fact(value)}" for key, value in event.items() if key not in BOUND)
    last = str(event.get("exception", "")).strip().rsplit("\n", 1)[-1]
    return f"{event['event']} {last or facts}".strip()[:FACTS_CHARACTERS]


def _bus_line(raw: str) -> Text | None:
    level = next((level for mark, level in _BUS_LEVELS.items() if mark in raw), None)
    if level is None:
        return None if "[INF]" in raw else _line("nats", "", raw, "")
    head, _, words = raw.partition("] ")
    clock = head and words.split(" ", 2)[1][:8] if words else ""
    return _line("nats", level, words.split("] ", 1)[-1], "", clock)


def _event(raw: str) -> dict[str, Any] | None:
    try:
        event = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _line(name: str, level: str, words: str, facts: str, clock: str = "") -> Text:
    line = Text()
    line.append(f"{clock:8} ", "dim")
    line.append(f"{name:{NAME_WIDTH}} ", COLOURS.get(name.split("-", 1)[0], "white"))
    line.append(_tame(words), LEVELS.get(level, ""))
    if facts:
        shown = facts if len(facts) <= FACTS_CHARACTERS else facts[:FACTS_CHARACTERS] + "…"
        line.append(f"  {_tame(shown)}", "dim")
    return line


def _tame(text: str) -> str:
    """A remote's words may be in it: they stay in their line, and do not steer the terminal."""
    return printable(text).replace("\n", "\N{REPLACEMENT CHARACTER}")


def _fact(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
