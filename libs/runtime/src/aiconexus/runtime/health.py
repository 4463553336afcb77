"""
Whether a service lives, and whether it can work: /livez, /readyz and /health, with /metrics beside them.

A check answers within five seconds or counts as failed. Checks run at the same time; one that hangs is not started a
second time while it hangs, so that probes cannot pile up.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.resources import Use

CHECK_SECONDS = 5.0
REASON_CHARACTERS = 200


class Status(StrEnum):
    """The worst component counts; ``degraded`` still works."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_ORDER = list(Status)


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check found; ``detail`` holds figures."""

    status: Status
    reason: str | None = None
    detail: dict[str, Any] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The body of /readyz and /health."""

    status: Status
    service: str
    instance: str
    version: str
    uptime_seconds: float
    components: dict[str, Component]


Check = Callable[[], Awaitable[Component | bool | None]]
"""Fails by raising or by returning False; for shades in between it returns a component."""


class Health:
    """
    The health of one process. It is not ready before ``open_doors`` and after ``close_doors``.

    Args:
        service: Name of the service.
        instance: Name of this replica.
        version: Of the service's package.
        check_seconds: How long one check may take.

    """

    def __init__(
        self, service: str, instance: str = "", version: str = "", check_seconds: float = CHECK_SECONDS
    ) -> None:
        self._service = service
        self._instance = instance
        self._version = version
        self._check_seconds = check_seconds
        self._started = time.monotonic()
        self._phase = "starting"
        self._checks: dict[str, Check] = {}
        self._running: dict[str, asyncio.Future[Component | bool | None]] = {}
        self._runner: web.AppRunner | None = None

    def add_check(self, name: str, check: Check) -> None:
        """Have a component checked with every probe."""
        self._checks[name] = check

    def open_doors(self) -> None:
        """From now on the service is ready if its checks say so."""
        self._phase = "serving"

    def close_doors(self) -> None:
        """From now on the service is not ready: it is about to stop."""
        self._phase = "stopping"

    async def report(self) -> Report:
        """Run all checks."""
        names = tuple(self._checks)  # a service adds checks while it starts, and is asked already
        found = await asyncio.gather(*(self._component(name) for name in names))
        components = dict(zip(names, found, strict=True))
        serving = Status.HEALTHY if self._phase == "serving" else Status.UNHEALTHY
        components["process"] = Component(status=serving, detail={"phase": self._phase})
        return Report(
            status=max((component.status for component in components.values()), key=_ORDER.index),
            service=self._service,
            instance=self._instance,
            version=self._version,
            uptime_seconds=self._uptime_seconds(),
            components=components,
        )

    async def listen(self, host: str, port: int) -> int:
        """
        Serve over HTTP.

        Returns:
            The port that was taken.

        Raises:
            SettingsError: If the address cannot be used.

        """
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", self.metrics),
                web.get("/livez", self.livez),
                web.get("/readyz", self.readyz),
                web.get("/health", self.readyz),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            raise SettingsError([f"cannot listen on {host}:{port}: {error.strerror}"]) from error
        taken: int = self._runner.addresses[0][1]
        return taken

    async def close(self) -> None:
        """Serve no longer."""
        for running in self._running.values():
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer in the Prometheus or the OpenMetrics text form, whichever is asked for."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})

    async def livez(self, _: web.Request) -> web.Response:
        """The loop turns: that is all that a restart could mend."""
        return _answer(200, {"status": Status.HEALTHY, "uptime_seconds": self._uptime_seconds()})

    async def readyz(self, _: web.Request) -> web.Response:
        """200 if the service can work, 503 if not; the report in both cases."""
        report = await self.report()
        return _answer(503 if report.status is Status.UNHEALTHY else 200, report)

    def _uptime_seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)

    async def _component(self, name: str) -> Component:
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = asyncio.ensure_future(self._checks[name]())
            running.add_done_callback(_seen)
        done, _ = await asyncio.wait({running}, timeout=self._check_seconds)
        if not done:
            return Component(status=Status.UNHEALTHY, reason=f"no answer within {self._check_seconds:g} s")
        return _component_of(running)


def judged(use: Use, degraded: float, unhealthy: float) -> Component:
    """Compare a share with its two thresholds."""
    status = Status.HEALTHY
    if use.ratio >= unhealthy:
        status = Status.UNHEALTHY
    elif use.ratio >= degraded:
        status = Status.DEGRADED
    detail = {"used_bytes": use.used_bytes, "limit_bytes": use.limit_bytes, "ratio": round(use.ratio, 4)}
    return Component(status=status, detail=detail)


def _seen(done: "asyncio.Future[Component | bool | None]") -> None:
    """A check that fails after its time is no exception that nobody awaited."""
    if not done.cancelled():
        done.exception()


def _component_of(done: "asyncio.Future[Component | bool | None]") -> Component:
    if done.cancelled():
        return Component(status=Status.UNHEALTHY, reason="cancelled")
    error = done.exception()
    if error is not None:
        reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]
        return Component(status=Status.UNHEALTHY, reason=reason)
    result = done.result()
    if isinstance(result, Component):
        return result
    return Component(status=Status.UNHEALTHY if result is False else Status.HEALTHY)


def _answer(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
