"""Read what the services count, from the outside: their own metrics pages."""

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from aiconexus.bus.ownership import SERVICES
from aiconexus.cli.fetch import fetch
from aiconexus.cli.platform import Platform

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.05


class Meter:
    """
    The metrics of a running platform.

    Args:
        platform: Must run whenever the meter is asked.

    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def count(self, service: str, name: str, **labels: str) -> float:
        """The sum of a sample over all replicas of a service and all label values that were not given."""
        urls = [url for part, url in self._platform.endpoints().health.items() if part.split("-")[0] == service]
        pages = await asyncio.gather(*(fetch(url.replace("/health", "/metrics")) for url in urls))
        return sum(
            sample.value
            for _, page in pages
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def until(self, service: str, name: str, *, at_least: float, **labels: str) -> None:
        """Wait until so many were counted."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.count(service, name, **labels) < at_least:
                await asyncio.sleep(POLL_SECONDS)

    async def problems(self, problem: str) -> float:
        """How often the relay refused mail, signaling signals, and edges frames, for this."""
        names = {
            "relay": "aiconexus_relay_envelopes_refused_total",
            "signaling": "aiconexus_signaling_envelopes_refused_total",
            "edge": "aiconexus_edge_errors_total",
        }
        return sum([await self.count(service, name, problem=problem) for service, name in names.items()])

    async def security(self, problem: str) -> float:
        """How often any service refused this for the sake of security."""
        name = "aiconexus_security_refusals_total"
        counted = [await self.count(service, name, problem=problem) for service in SERVICES]
        return sum(counted)
