import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import Quality, cost, costs

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        (Quality(rtt_seconds=0.04), 0.04),
        (Quality(rtt_seconds=0.04, loss=0.5), 0.08),
        (Quality(rtt_seconds=0.04, load=0.75), 0.16),
        (Quality(rtt_seconds=0.04, loss=0.5, load=0.75), 0.32),
        (Quality(rtt_seconds=0.04, loss=1.0), 4.0),
    ],
    ids=["plain", "loss", "load", "both", "dead"],
)
def test_cost_is_the_expected_time(quality: Quality, expected: float) -> None:
    """What is lost is sent again, and what is busy makes wait."""
    assert pytest.approx(expected) == cost(quality)


@given(rtt=st.floats(1e-4, 10), loss=shares, load=shares, worse=shares)
def test_worse_is_never_cheaper(rtt: float, loss: float, load: float, worse: float) -> None:
    """More loss or load never makes an edge more attractive."""
    plain = cost(Quality(rtt_seconds=rtt, loss=loss, load=load))

    assert plain <= cost(Quality(rtt_seconds=rtt, loss=max(loss, worse), load=load))
    assert plain <= cost(Quality(rtt_seconds=rtt, loss=loss, load=max(load, worse)))


def test_every_edge_has_its_cost() -> None:
    """All that was measured is weighed."""
    assert {("a", "b"): 2.0} == costs({("a", "b"): Quality(rtt_seconds=1, loss=0.5)})
