import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from aiconexus.protocol.errors import SettingsError
from aiconexus.runtime.health import Component, Health, Status, judged
from aiconexus.runtime.resources import Use

CHECK_SECONDS = 0.5


class Site:
    """A health endpoint that is asked over HTTP."""

    def __init__(self, health: Health, http: aiohttp.ClientSession, port: int) -> None:
        self.health = health
        self.http = http
        self.port = port

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.http.get(f"http://127.0.0.1:{self.port}{path}", headers=headers) as answer:
            return answer.status, await answer.text()

    async def report(self, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
        async with self.http.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            assert answer.content_type == "application/json"
            return answer.status, await answer.json()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A service that serves."""
    health = Health("probe", "i1", "0.1", check_seconds=CHECK_SECONDS)
    health.open_doors()
    port = await health.listen("127.0.0.1", 0)
    async with aiohttp.ClientSession() as http:
        yield Site(health, http, port)
    await health.close()


async def test_a_service_is_ready_between_open_and_close(site: Site) -> None:
    """Before and after, /readyz says 503 while /livez says 200."""
    site.health.add_check("bus", _healthy)
    serving, report = await site.report()
    site.health.close_doors()
    stopping, last = await site.report()
    living, _ = await site.get("/livez")

    assert (serving, report["status"]) == (200, "healthy")
    assert (report["service"], report["instance"], report["version"]) == ("probe", "i1", "0.1")
    assert report["components"] == {
        "bus": {"status": "healthy"},
        "process": {"status": "healthy", "detail": {"phase": "serving"}},
    }
    assert report["uptime_seconds"] >= 0
    assert (stopping, last["components"]["process"]["status"]) == (503, "unhealthy")
    assert living == 200


async def test_a_service_that_starts_is_not_ready() -> None:
    """Until it says so."""
    report = await Health("probe").report()

    assert report.status is Status.UNHEALTHY


async def test_the_worst_component_counts(site: Site) -> None:
    """Degraded still answers 200; a check that raises or says False makes it 503, with the reason."""
    site.health.add_check("disk", _degraded)
    degraded, first = await site.report("/health")
    site.health.add_check("store", _raising)
    site.health.add_check("turn", _refusing)
    unhealthy, second = await site.report("/health")

    assert (degraded, first["status"]) == (200, "degraded")
    assert (unhealthy, second["status"]) == (503, "unhealthy")
    assert second["components"]["store"] == {"status": "unhealthy", "reason": "ConnectionError: away"}
    assert second["components"]["turn"] == {"status": "unhealthy"}
    assert second["components"]["disk"] == {"status": "degraded", "reason": "nearly full"}


async def test_checks_run_at_the_same_time(site: Site) -> None:
    """Two checks that wait for each other both succeed."""
    barrier = asyncio.Barrier(2)

    async def meet() -> None:
        await barrier.wait()

    site.health.add_check("one", meet)
    site.health.add_check("two", meet)
    async with asyncio.timeout(4):
        status, _ = await site.report()

    assert status == 200


async def test_a_check_that_hangs_is_unhealthy_and_not_started_again(site: Site) -> None:
    """Probes of a hanging dependency neither wait for ever nor pile up; the loop goes on."""
    calls = 0

    async def hang() -> None:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    site.health.add_check("hanging", hang)
    async with asyncio.timeout(10):
        first, second = await asyncio.gather(site.report(), site.report())

    assert (first[0], second[0]) == (503, 503)
    assert first[1]["components"]["hanging"]["reason"] == "no answer within 0.5 s"
    assert calls == 1


async def test_a_check_that_fails_after_its_time_is_forgotten(site: Site) -> None:
    """The next probe starts it afresh."""
    failing, calls = asyncio.Event(), 0

    async def late() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await failing.wait()
            raise ConnectionError("too late")

    site.health.add_check("late", late)
    async with asyncio.timeout(10):
        first, _ = await site.report()
        failing.set()
        second, _ = await site.report()

    assert (first, second) == (503, 200)


async def test_metrics_are_exposed_in_both_text_forms(site: Site) -> None:
    """Prometheus reads the one, a client that asks for OpenMetrics gets the other."""
    status, plain = await site.get("/metrics")
    _, open_metrics = await site.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert status == 200
    assert "# TYPE aiconexus_runtime_bus_connected gauge" in plain
    assert open_metrics.endswith("# EOF\n")


async def test_a_port_that_is_taken_is_a_mistake_in_the_settings(site: Site) -> None:
    """The message names the address."""
    other = Health("other")

    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{site.port}"):
        await other.listen("127.0.0.1", site.port)
    await other.close()


@pytest.mark.parametrize(
    ("used", "status"), [(74, Status.HEALTHY), (75, Status.DEGRADED), (90, Status.UNHEALTHY)], ids=str
)
def test_a_share_is_judged_by_two_thresholds(used: int, status: Status) -> None:
    """75 % is degraded, 90 % unhealthy."""
    component = judged(Use(used, 100), 0.75, 0.90)

    assert component == Component(status=status, detail={"used_bytes": used, "limit_bytes": 100, "ratio": used / 100})


async def _healthy() -> bool:
    return True


async def _refusing() -> bool:
    return False


async def _degraded() -> Component:
    return Component(status=Status.DEGRADED, reason="nearly full")


async def _raising() -> None:
    raise ConnectionError("away")
