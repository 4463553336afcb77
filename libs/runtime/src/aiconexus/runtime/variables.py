"""The names that are set for a service, in its environment and in its settings file."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

FAMILY = "AICONEXUS_"
SETTINGS_FILE = "SETTINGS_FILE"


class Given(msgspec.Struct, frozen=True):
    """The text of a variable; ``origin`` is empty for the environment."""

    text: str
    origin: str = ""


def prefix_of(service: str) -> str:
    """What the names of a service's variables begin with."""
    return f"{FAMILY}{service.upper().replace('-', '_')}_"


def given(prefix: str, environ: Mapping[str, str], mistakes: list[str]) -> dict[str, Given]:
    """
    All variables of a service; the environment wins over the file.

    Args:
        prefix: See ``prefix_of``.
        environ: May hold anything else, too.
        mistakes: Takes what is wrong with the file.

    """
    own = {name: Given(text) for name, text in environ.items() if name.startswith(prefix)}
    file = own.get(prefix + SETTINGS_FILE)
    if file is None:
        return own
    return {**_given_in_file(Path(file.text), prefix, mistakes), **own}


def unknown(prefix: str, present: Mapping[str, Given], known: Iterable[str]) -> list[str]:
    """One mistake for each name that means nothing."""
    names = list(known)
    return [
        f"{name}{value.origin} is no setting{_suggestion(prefix, name, names)}"
        for name, value in present.items()
        if name not in names
    ]


def _suggestion(prefix: str, name: str, known: list[str]) -> str:
    if f"{name}_FILE" in known:
        return f": it is read from a file, set {name}_FILE to its path"
    close = difflib.get_close_matches(name.removeprefix(prefix), [other.removeprefix(prefix) for other in known], n=1)
    return f": did you mean {prefix}{close[0]}?" if close else ""


def _given_in_file(path: Path, prefix: str, mistakes: list[str]) -> dict[str, Given]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(f"{prefix}{SETTINGS_FILE}: {error}")
        return {}
    found: dict[str, Given] = {}
    for number, line in enumerate(lines, start=1):
        name, equals, text = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        name = name.rstrip()
        if not equals or not name.startswith(FAMILY):
            mistakes.append(f"{path}, line {number}: a line is {FAMILY}<SERVICE>_<NAME>=<value>, or a comment with #")
        elif name == prefix + SETTINGS_FILE:
            mistakes.append(f"{path}, line {number}: a settings file cannot name another")
        elif name in found:
            mistakes.append(f"{path}, line {number}: {name} is set twice")
        elif name.startswith(prefix):
            found[name] = Given(_unquoted(text.strip()), f" ({path}, line {number})")
    return found


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text
