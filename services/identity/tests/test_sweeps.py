import pytest

from aiconexus.identity.events import Connection
from aiconexus.identity.servers import Census
from aiconexus.identity.sweeps import SETTLING_MS, Verdict, judge_edge, judge_native
from aiconexus.protocol.bodies import Road
from aiconexus.protocol.records import EDGE_LEASE_SECONDS

from .people import PEOPLE, presence

TOKEN = PEOPLE[0].token
HERE = Connection("n1", 4, "start")
AGENT = presence(TOKEN, HERE.session, road=Road.NATS, instance="n1", since_ms=0)
TIMEOUT_MS = 300_000
OLD = TIMEOUT_MS + 1


@pytest.mark.parametrize(
    ("servers", "is_complete", "age_ms", "verdict"),
    [
        pytest.param({"n1": {HERE}}, True, OLD, Verdict.PRESENT, id="listed"),
        pytest.param({"n1": set()}, True, OLD, Verdict.DOUBTFUL, id="not listed"),
        pytest.param({"n1": {Connection("n1", 4, "later")}}, True, OLD, Verdict.DOUBTFUL, id="number used again"),
        pytest.param({"n1": set()}, False, 0, Verdict.DOUBTFUL, id="not listed, others silent"),
        pytest.param({"n2": set()}, True, SETTLING_MS + 1, Verdict.GONE, id="server gone"),
        pytest.param({"n2": set()}, True, SETTLING_MS, Verdict.PRESENT, id="server perhaps new"),
        pytest.param({"n2": set()}, False, TIMEOUT_MS, Verdict.PRESENT, id="server silent"),
        pytest.param({"n2": set()}, False, OLD, Verdict.GONE, id="server silent for too long"),
    ],
)
def test_an_agent_on_nats_is_where_its_server_says(
    servers: dict[str, set[Connection]], is_complete: bool, age_ms: int, verdict: Verdict
) -> None:
    """A server's word counts; without it a complete count does, and without that the agent's last sign of life."""
    census = Census({name: frozenset(found) for name, found in servers.items()}, is_complete)

    assert verdict is judge_native(AGENT, census, age_ms, TIMEOUT_MS)


@pytest.mark.parametrize(
    ("leases", "age_ms", "verdict"),
    [
        pytest.param({"e1"}, OLD, Verdict.PRESENT, id="edge lives"),
        pytest.param({"e2"}, OLD, Verdict.GONE, id="edge gone"),
        pytest.param(set[str](), EDGE_LEASE_SECONDS * 1000, Verdict.PRESENT, id="edge perhaps new"),
    ],
)
def test_an_agent_of_an_edge_lives_as_long_as_the_edge(leases: set[str], age_ms: int, verdict: Verdict) -> None:
    """Without a lease of its edge nobody stays present for long."""
    assert verdict is judge_edge(presence(TOKEN, since_ms=0), leases, age_ms)
