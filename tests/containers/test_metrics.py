"""What the running set counts is what the operator's page lists."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.containers.composed import Composed
from tests.operations_page import DOCS, SERVICES, names_of_metrics

pytestmark = pytest.mark.containers

LISTED = (DOCS / "metrics.md").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_everything_is_listed_that_is_counted(composed: Composed, service: str) -> None:
    """The metrics of a service, scraped where Prometheus scrapes them, are those of the page."""
    families = text_string_to_metric_families(composed.metrics(service))
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    ours = {name for name in names if name.startswith("aiconexus_") and not name.endswith("_created")}

    assert names_of_metrics(service, LISTED) == ours
