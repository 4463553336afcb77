"""
What an operator can set: environment variables named AICONEXUS_<SERVICE>_<NAME>, and nothing else.

A service describes its settings as one frozen struct; ``load`` reads them and reports every mistake together. Secrets
come from files that only their owner can read, never from the environment, which child processes and crash reports
inherit.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo, fields

from aiconexus.bus.urls import check_server
from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.values import Mistake, masked, secret_kind, secret_value, typed_value
from aiconexus.runtime.variables import SETTINGS_FILE, Given, given, prefix_of, unknown

Port = Annotated[int, Meta(ge=0, le=65535)]
"""A TCP port; 0 takes a free one."""
Ratio = Annotated[float, Meta(gt=0, le=1)]
"""A share of the whole."""
Seconds = Annotated[float, Meta(gt=0)]

UserSeed = Annotated[bytes, Meta(extra={"secret": "U"})]
"""The 32 bytes behind a seed text ``SU…``, read from a file."""
AccountSeed = Annotated[bytes, Meta(extra={"secret": "A"})]
"""Likewise ``SA…``."""
CurveSeed = Annotated[bytes, Meta(extra={"secret": "X"})]
"""Likewise ``SX…``."""
SecretText = Annotated[str, Meta(extra={"secret": ""})]
"""One line, read from a file."""


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every service has; a service inherits and adds its own."""

    nats_urls: Annotated[tuple[str, ...], Meta(min_length=1)] = ("nats://127.0.0.1:4222",)
    """Servers of the bus, separated by commas."""
    seed: UserSeed
    """Who the service is: its DID and its login at the bus; shared by the replicas."""
    directory_file: str
    """JSON with the DIDs of all services."""
    host: str = "127.0.0.1"
    """Address that the service's HTTP ports listen on."""
    metrics_port: Port = 9090
    """Serves /metrics, /livez, /readyz and /health."""
    ports_file: str | None = None
    """Where to write the ports that were taken, as JSON."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged, and everything above it."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """``auto`` is console on a terminal and JSON elsewhere."""
    environment: Literal["development", "test", "staging", "production"] = "development"
    """Shown in every log line and in the metrics."""
    instance: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] = ""
    """Name of this replica; by default a random one."""
    drain_seconds: Seconds = 20.0
    """How long the service may take to finish what it has begun, once it was told to stop."""
    memory_degraded_ratio: Ratio = 0.75
    """Of the memory limit of the container, or of the machine, from where on the health report says so."""
    memory_unhealthy_ratio: Ratio = 0.90
    """From where on the service is not ready."""
    disk_path: str = "/"
    """Whose file system is watched."""
    disk_degraded_ratio: Ratio = 0.85
    """Likewise for the disk."""
    disk_unhealthy_ratio: Ratio = 0.95
    """Likewise."""


S = TypeVar("S", bound=ServiceSettings)


def load(settings_class: type[S], service: str, environ: Mapping[str, str] | None = None) -> S:
    """
    Read a service's settings.

    Args:
        settings_class: What there is to set. A ``ValueError`` of its ``__post_init__`` is a mistake of the operator.
        service: The name in the names of the variables.
        environ: Instead of the environment of the process.

    Raises:
        SettingsError: With every mistake.

    """
    prefix = prefix_of(service)
    mistakes: list[str] = []
    present = given(prefix, os.environ if environ is None else environ, mistakes)
    known = {_variable(prefix, field): field for field in fields(settings_class)}
    mistakes += unknown(prefix, present, [*known, prefix + SETTINGS_FILE])
    values = _values(known, present, mistakes)
    mistakes += _wrong_servers(f"{prefix}NATS_URLS", values.get("nats_urls", ()))
    if mistakes:
        raise SettingsError(mistakes)
    try:
        return settings_class(**values)
    except ValueError as error:
        raise SettingsError([str(error)]) from error


def shown(settings: ServiceSettings) -> dict[str, Any]:
    """The effective settings, with the secrets masked."""
    return {field.name: masked(field.type, getattr(settings, field.name)) for field in fields(settings)}


def _variable(prefix: str, field: FieldInfo) -> str:
    name = prefix + field.name.upper()
    return name if secret_kind(field.type) is None else name + "_FILE"


def _wrong_servers(name: str, urls: Sequence[str]) -> list[str]:
    mistakes: list[str] = []
    for url in urls:
        try:
            check_server(url)
        except ValueError as error:
            mistakes.append(f"{name}: {error}")
    return mistakes


def _values(known: Mapping[str, FieldInfo], present: Mapping[str, Given], mistakes: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in present:
            if field.required:
                mistakes.append(f"{name} is not set")
            continue
        kind = secret_kind(field.type)
        text = present[name].text
        try:
            values[field.name] = typed_value(text, field.type) if kind is None else secret_value(text, kind)
        except Mistake as mistake:
            mistakes.append(f"{name}{present[name].origin}: {mistake}")
    return values
