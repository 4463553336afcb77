"""
The parts of the operator's pages that are made from the code: ``python -m tests.operations_page [FOLDER]`` renews them.

What can be set comes from the settings of the services, what is counted from the registry that their modules fill.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from textwrap import dedent
from typing import Any, Literal, get_args, get_origin

from msgspec.structs import FieldInfo, fields
from prometheus_client import REGISTRY, Counter

from aiconexus.runtime.metrics import request_seconds_of, requests_of
from aiconexus.runtime.settings import ServiceSettings
from aiconexus.runtime.values import secret_kind

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = ("settings.md", "metrics.md")
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if (folder / "pyproject.toml").exists())
COMMON = "*"


def settings_of(service: str) -> type[ServiceSettings]:
    """The settings of a service."""
    found: type[ServiceSettings] = getattr(
        import_module(f"aiconexus.{service}.settings"), f"{service.capitalize()}Settings"
    )
    return found


def settings_table() -> str:
    """Every variable with its default and its sentence."""
    shared = {field.name for field in fields(ServiceSettings)}
    rows = list(_settings_rows(COMMON, ServiceSettings, skipped=set()))
    for service in SERVICES:
        rows += _settings_rows(service.upper(), settings_of(service), skipped=shared)
    return _table("variable | default | what", rows)


def metrics_table() -> str:
    """Every metric with its labels and its sentence, those of every service first."""
    rows = sorted(_metrics_rows(), key=lambda row: (_service_of(row[0]) in SERVICES, row[0]))
    return _table("metric | labels | what", rows)


def agent_metrics_table() -> str:
    """Every metric of direct connections and meshes, which agents count in their own processes."""
    return _table("metric | labels | what", sorted(_agent_metrics_rows()))


def names_of_metrics(service: str, page: str) -> set[str]:
    """What a page says that a service counts."""
    names = set(re.findall(r"^\| `(aiconexus_\w+)` ", page, re.MULTILINE))
    return {name for name in names if _service_of(name) == service or _service_of(name) not in SERVICES}


def renewed(page: str) -> str:
    """A page with its generated parts made anew."""
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


PARTS = {"settings": settings_table, "metrics": metrics_table, "agent_metrics": agent_metrics_table}


def _settings_rows(prefix: str, class_: type[ServiceSettings], skipped: set[str]) -> Iterator[tuple[str, str, str]]:
    sentences = _sentences(class_)
    for field in fields(class_):
        if field.name not in skipped:
            suffix = "" if secret_kind(field.type) is None else "_FILE"
            name = f"`AICONEXUS_{prefix}_{field.name.upper()}{suffix}`"
            yield name, _default(field), sentences[field.name] + _choices(field)


def _sentences(class_: type[ServiceSettings]) -> Mapping[str, str]:
    """The docstring below each field."""
    body = ast.parse(dedent(inspect.getsource(class_))).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(class_)
    found = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found[statement.target.id] = _plain(str(text))
    return found


def _default(field: FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if isinstance(value, tuple):
        value = ",".join(value)
    if isinstance(value, float):
        value = f"{value:g}" if value < 1 else f"{value:.0f}"
    if isinstance(value, bool):
        value = str(value).lower()
    return "" if value in ("", None) else f"`{value}`"


def _choices(field: FieldInfo) -> str:
    words = get_args(field.type) if get_origin(field.type) is Literal else ()
    return f" ({', '.join(words)})" if words else ""


def _metrics_rows() -> Iterator[tuple[str, str, str]]:
    for service in SERVICES:
        package = import_module(f"aiconexus.{service}")
        for module in iter_modules(package.__path__):
            import_module(f"aiconexus.{service}.{module.name}")
        requests_of(service)  # made by a desk, which every service has
        request_seconds_of(service)
    yield from _registered("aiconexus_")


def _agent_metrics_rows() -> Iterator[tuple[str, str, str]]:
    traffic = import_module("aiconexus.sdk.direct.metrics").TRAFFIC
    standings = import_module("aiconexus.sdk.mesh.metrics").STANDINGS
    for prefix in ("webrtc_", "mesh_"):
        yield from _registered(prefix)
    for name, (_, text) in (traffic | standings).items():
        yield f"`{name}`", "", _plain(text)


def _registered(prefix: str) -> Iterator[tuple[str, str, str]]:
    """What the registry has under a prefix."""
    collectors: Any = REGISTRY._collector_to_names
    for collector in collectors:
        name = getattr(collector, "_name", "")
        if name.startswith(prefix):
            suffix = "_total" if isinstance(collector, Counter) else ""
            labels = ", ".join(collector._labelnames)
            yield f"`{name}{suffix}`", labels, _plain(collector._documentation)


def _service_of(name: str) -> str:
    return name.strip("`").split("_")[1]


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().removesuffix(".").replace("``", "`").replace("|", "\\|")


def _table(head: str, rows: list[tuple[str, str, str]]) -> str:
    columns = len(head.split("|"))
    return "\n".join([f"| {head} |", "|---" * columns + "|", *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Renew the pages, or write what they should be elsewhere."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else DOCS
    for name in PAGES:
        (folder / name).write_text(renewed((DOCS / name).read_text()))


if __name__ == "__main__":
    main()
