"""Find out how a running platform does: its services, its bus, what waits in mailboxes and who is connected."""

import asyncio
from typing import Any

import msgspec

from aiconexus.cli.fetch import fetch
from aiconexus.cli.options import Running

OK = 200
ANSWER_SECONDS = 6.0
"""Longer than a service takes to find out that one of its checks hangs."""


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """One process; ``status`` is healthy, degraded, unhealthy or unreachable."""

    name: str
    status: str
    uptime_seconds: float = 0.0
    reasons: tuple[str, ...] = ()


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """What the bus keeps under one name."""

    name: str
    messages: int
    bytes: int
    subjects: int = msgspec.field(default=0, name="num_subjects")


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """How everything is."""

    platform: str
    url: str
    services: tuple[ServiceState, ...]
    streams: tuple[StreamState, ...]
    agents: dict[str, int]

    @property
    def is_well(self) -> bool:
        """Whether every part can work."""
        return all(service.status in ("healthy", "degraded") for service in self.services)


async def survey(running: Running) -> Survey:
    """Ask every part of a running platform at the same time; a part that does not answer is unreachable."""
    monitor = running.monitor
    async with asyncio.TaskGroup() as group:
        bus = group.create_task(_bus(f"{monitor}/healthz"))
        services = [group.create_task(_service(name, url)) for name, url in running.health.items()]
        streams = group.create_task(_streams(f"{monitor}/jsz?streams=1&accounts=1"))
        native = group.create_task(_native(f"{monitor}/connz?acc=AGENTS&limit=1"))
        edges = [group.create_task(_on_edge(url)) for name, url in running.health.items() if name.startswith("edge")]
    return Survey(
        platform=running.platform,
        url=running.nats,
        services=(bus.result(), *(service.result() for service in services)),
        streams=streams.result(),
        agents={"nats": native.result(), "edge": sum(edge.result() for edge in edges)},
    )


async def _service(name: str, url: str) -> ServiceState:
    report = await _json(url)
    if report is None:
        return ServiceState(name=name, status="unreachable")
    components: dict[str, Any] = report.get("components", {})
    reasons = [f"{key}: {found['reason']}" for key, found in components.items() if found.get("reason")]
    return ServiceState(
        name=name,
        status=str(report.get("status", "unreachable")),
        uptime_seconds=float(report.get("uptime_seconds", 0)),
        reasons=tuple(reasons),
    )


async def _bus(url: str) -> ServiceState:
    report = await _json(url)
    if report is None:
        return ServiceState(name="nats", status="unreachable")
    well = report.get("status") == "ok"
    reasons = () if well else (str(report.get("error", "")),)
    return ServiceState(name="nats", status="healthy" if well else "unhealthy", reasons=reasons)


async def _streams(url: str) -> tuple[StreamState, ...]:
    report = await _json(url) or {}
    details = [
        {"name": stream["name"], **stream["state"]}
        for account in report.get("account_details") or ()
        for stream in account.get("stream_detail") or ()
    ]
    return tuple(sorted(msgspec.convert(details, list[StreamState]), key=lambda stream: stream.name))


async def _native(url: str) -> int:
    report = await _json(url) or {}
    return int(report.get("total", 0))


async def _on_edge(url: str) -> int:
    try:
        _, page = await fetch(url.replace("/health", "/metrics"), ANSWER_SECONDS)
    except OSError:
        return 0
    counts = [line.split()[-1] for line in page.decode().splitlines() if line.startswith("aiconexus_edge_agents ")]
    return int(float(counts[0])) if counts else 0


async def _json(url: str) -> dict[str, Any] | None:
    try:
        _, page = await fetch(url, ANSWER_SECONDS)
        found = msgspec.json.decode(page)
    except (OSError, msgspec.DecodeError):
        return None
    return found if isinstance(found, dict) else None
