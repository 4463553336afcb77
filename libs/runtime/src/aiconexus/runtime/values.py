"""From the text of a variable, or of the file that it names, to the value of a setting."""

import math
import os
import re
import stat
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from aiconexus.bus.nkeys import seed_of

SECRET_MAX_BYTES = 4096
SHOWN_CHARACTERS = 80
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
_USERINFO = re.compile(r"//[^/@\s]*@")


class Mistake(ValueError):
    """Why a text is no value."""


def secret_kind(type_: Any) -> str | None:
    """The letter of a seed (U, A, X), empty for another secret, None for what is no secret."""
    for part in (type_, *get_args(type_)):
        for meta in getattr(part, "__metadata__", ()):
            if isinstance(meta, Meta) and meta.extra and "secret" in meta.extra:
                return str(meta.extra["secret"])
    return None


def masked(type_: Any, value: Any) -> Any:
    """What of a setting may be logged."""
    if secret_kind(type_) is not None:
        return None if value is None else "***"
    if isinstance(value, str):
        return _USERINFO.sub("//***@", value)
    if isinstance(value, tuple):
        return [masked(None, item) for item in value]
    return value


def typed_value(text: str, type_: Any) -> Any:
    """
    Read a text as the type of its setting.

    Raises:
        Mistake: If it is none.

    """
    value: Any = text
    if _holds(type_, tuple):
        value = [item.strip() for item in text.split(",") if item.strip()]
    elif text == "" and _holds(type_, NoneType):
        return None
    brief = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    try:
        found = msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError as error:
        reason = f"{brief!r} does not fit: {_choices(type_) or str(error)}"
        raise Mistake(reason) from error
    if isinstance(found, float) and not math.isfinite(found):
        reason = f"{brief!r} does not fit: no finite number"
        raise Mistake(reason)
    return found


def secret_value(path: str, kind: str) -> bytes | str:
    """
    Read the secret in a file.

    Args:
        path: Of the file. One that belongs to us must be readable by us alone; a mounted one belongs to others.
        kind: See ``secret_kind``.

    Raises:
        Mistake: If it is not there, not kept secret, or not of this kind. The message never holds the content.

    """
    text = _secret_text(Path(path))
    if not kind:
        return text
    try:
        found, seed = seed_of(text)
    except ValueError as error:
        reason = f"{path} holds no seed: {error}"
        raise Mistake(reason) from error
    if found.letter != kind:
        reason = f"{path} holds a seed that begins with S{found.letter}, wanted is S{kind}"
        raise Mistake(reason)
    return seed


def _secret_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & _READABLE_BY_OTHERS and found.st_uid == os.getuid():
                reason = f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}): chmod 600 {path}"
                raise Mistake(reason)
            content = file.read(SECRET_MAX_BYTES + 1)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
        raise Mistake(reason) from error
    if len(content) > SECRET_MAX_BYTES:
        reason = f"{path} holds more than {SECRET_MAX_BYTES} bytes"
        raise Mistake(reason)
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        reason = f"{path} holds no text"
        raise Mistake(reason) from None
    if not text:
        reason = f"{path} is empty"
        raise Mistake(reason)
    return text


def _alternatives(type_: Any) -> tuple[Any, ...]:
    """The types that a setting may have, without what annotates them."""
    origin = get_origin(type_)
    if origin is Annotated:
        return _alternatives(get_args(type_)[0])
    if origin in (Union, UnionType):
        return tuple(part for argument in get_args(type_) for part in _alternatives(argument))
    return (type_,)


def _holds(type_: Any, wanted: type) -> bool:
    return any(part is wanted or get_origin(part) is wanted for part in _alternatives(type_))


def _choices(type_: Any) -> str:
    """The words for a setting that takes only some."""
    words: list[str] = []
    for part in _alternatives(type_):
        if part is bool:
            words += ["true", "false"]
        elif get_origin(part) is Literal:
            words += [str(word) for word in get_args(part)]
        elif isinstance(part, type) and issubclass(part, Enum):
            words += [str(member.value) for member in part]
    return f"one of {', '.join(words)}" if words else ""
