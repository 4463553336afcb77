"""A type of the schema in a few characters, for the tables of docs/protocol.md."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect

from aiconexus.protocol import bodies, job_bodies
from aiconexus.protocol.text import Timestamp

LARGE = 2**32
DIDS = {"did", "dids", "callers", "services", "from", "to", "sender", "recipient"}
NAMED: list[tuple[Any, str]] = [
    (bodies.Id, "id"),
    (bodies.Capability, "capability"),
    (bodies.Text, "line ≤ 256"),
    (bodies.Count, "count"),
    (job_bodies.Job, "job"),
    (job_bodies.ProblemName, "problem"),
    (Timestamp, "time"),
]
ENUMS: list[type[Enum]] = [bodies.ReceiptStatus, job_bodies.JobState]
SIMPLE: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
    inspect.BytesType: "binary",
    inspect.NoneType: "null",
    inspect.AnyType: "anything",
    inspect.RawType: "map",
}


def choices(enum: type[Enum]) -> str:
    """The values of an enumeration."""
    return " or ".join(f"“{member.value}”" for member in enum)


def fields_of(struct: type[msgspec.Struct]) -> str:
    """All fields of a struct: what may be left out has a question mark or its default."""
    described = {field.encode_name: field for field in inspect.type_info(struct).fields}  # type: ignore[attr-defined]
    return "; ".join(_field(name, field) for name, field in described.items())


def _field(name: str, field: inspect.Field) -> str:
    form = form_of(field.type, name)
    if field.required:
        return f"`{name}` {form}"
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if default is None:
        return f"`{name}`? {form.removesuffix(' or null')}"
    text = msgspec.json.encode(default).decode().replace('"', "“", 1).replace('"', "”")
    return f"`{name}` {form} = {text}"


def form_of(type_: inspect.Type, name: str) -> str:
    """One type; ``name`` tells a DID from other texts."""
    if name in DIDS and isinstance(type_, inspect.StrType):
        return "DID"
    named = [words for form, words in NAMED if inspect.type_info(form) == type_]
    describe = DESCRIBED.get(type(type_))
    return (named or [describe(type_, name) if describe else SIMPLE[type(type_)]])[0]


def _text(type_: inspect.StrType, _: str) -> str:
    if type_.pattern:
        return f"line ≤ {type_.max_length}" if type_.max_length else "64 hexadecimal digits"
    return f"text ≤ {type_.max_length}" if type_.max_length else "text"


def _number(type_: inspect.IntType | inspect.FloatType, _: str) -> str:
    if type_.ge is None or type_.le is None or type_.le > LARGE:
        return SIMPLE[type(type_)]
    return f"{type_.ge:g}…{type_.le:g}"


def _list(type_: inspect.VarTupleType, name: str) -> str:
    bounds = f" {type_.min_length or 0}…{type_.max_length}" if type_.max_length else ""
    return f"[{form_of(type_.item_type, name)}]{bounds}"


def _union(type_: inspect.UnionType, name: str) -> str:
    return " or ".join(form_of(one, name) for one in type_.types)


def _map(type_: inspect.DictType, name: str) -> str:
    return f"{{text: {form_of(type_.value_type, name)}}}"


def _enum(type_: inspect.EnumType, _: str) -> str:
    return f"*{type_.cls.__name__}*" if type_.cls in ENUMS else choices(type_.cls)


def _struct(type_: inspect.StructType, _: str) -> str:
    return f"*{type_.cls.__name__}*"


DESCRIBED: dict[type[inspect.Type], Callable[[Any, str], str]] = {
    inspect.StrType: _text,
    inspect.IntType: _number,
    inspect.FloatType: _number,
    inspect.VarTupleType: _list,
    inspect.UnionType: _union,
    inspect.DictType: _map,
    inspect.EnumType: _enum,
    inspect.StructType: _struct,
}
