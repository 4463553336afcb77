"""What the running set counts is what the operator's page lists."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.containers.composed import Composed
from tests.integration.strangers import native
from tests.operations_page import DOCS, SERVICES, names_of_metrics

pytestmark = pytest.mark.containers

COUNTED = 'aiconexus_identity_bus_violations_total{account="AGENTS",kind="publish"} 1.0'
LISTED = (DOCS / "metrics.md").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_everything_is_listed_that_is_counted(composed: Composed, service: str) -> None:
    """The metrics of a service, scraped where Prometheus scrapes them, are those of the page."""
    families = text_string_to_metric_families(composed.metrics(service))
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    ours = {name for name in names if name.startswith("aiconexus_") and not name.endswith("_created")}

    assert names_of_metrics(service, LISTED) == ours


async def test_what_the_bus_refuses_is_counted(composed: Composed) -> None:
    """Who tries a foreign subject is known from the log that bus and identity share, and the engine shows it, too."""
    async with native(composed.endpoints.nats) as stranger:
        await stranger.session.publish("foreign", b"")
        await composed.until(lambda: COUNTED in composed.metrics("identity"))
    await composed.until(lambda: "Publish Violation" in composed.run("logs", "nats"))
