"""What an edge costs, from what was measured on it."""

from collections.abc import Mapping
from math import isfinite

import msgspec

from aiconexus.sdk.topology.shape import Edge, ImpossibleTopology

WORST_SHARE = 0.99


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was measured on an edge.

    Attributes:
        rtt_seconds: There and back.
        loss: Share of what was sent that did not arrive, 0 to 1.
        load: Share of what the busier end can do that it does, 0 to 1.

    """

    rtt_seconds: float
    loss: float = 0.0
    load: float = 0.0


def cost(quality: Quality) -> float:
    """
    Seconds that a message takes there and back, as far as can be expected.

    What is lost with probability p is sent 1 / (1 - p) times on average; what waits for a server that is busy for a
    share u of the time takes 1 / (1 - u) times as long (M/M/1). Both shares count as 0.99 at most.
    """
    return quality.rtt_seconds / ((1 - min(quality.loss, WORST_SHARE)) * (1 - min(quality.load, WORST_SHARE)))


def costs(measured: Mapping[Edge, Quality]) -> dict[Edge, float]:
    """The cost of each edge that was measured."""
    return {pair: cost(quality) for pair, quality in measured.items()}


def checked(value: float) -> float:
    """
    Refuse what no edge can cost.

    Raises:
        ImpossibleTopology: If it is nothing, less, or no number.

    """
    if not (value > 0 and isfinite(value)):
        raise ImpossibleTopology(f"an edge that costs {value}")
    return value
