"""
What members of a mesh count, in the default registry of ``prometheus_client``.

What stands is read from the members of this process when somebody scrapes; all of them add up.
"""

from collections.abc import Iterator
from typing import Protocol
from weakref import WeakSet

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

ANSWER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FATES = ("taken", "handed_on", "repeated", "circled", "expired", "forged", "stranded")

_frames = Counter("mesh_frames_total", "Frames that neighbours brought, by what became of them", ["fate"])
_answers = Histogram(
    "mesh_answer_seconds", "From an envelope to the first sign of its recipient, over others", buckets=ANSWER_SECONDS
)
_detours = Counter("mesh_detours_total", "Other ways that were tried because nothing came back")
_fallbacks = Counter("mesh_relay_fallbacks_total", "Members that were reached by the relay because no way worked")
_changes = Counter("mesh_topology_changes_total", "Changes of the topology, as members of this process saw them")

_fates = {fate: _frames.labels(fate) for fate in FATES}


class Standing(Protocol):
    """A member, as far as it is counted."""

    @property
    def members_here(self) -> int:
        """Members of its mesh who are not away."""

    @property
    def channels_wanted(self) -> int:
        """Channels that the topology wants of it."""

    @property
    def channels_open(self) -> int:
        """Channels with those who hand on."""


class Standings(Collector):
    """The members that take part now."""

    def __init__(self) -> None:
        self.members: WeakSet[Standing] = WeakSet()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is scraped."""
        for name, (attribute, text) in STANDINGS.items():
            yield GaugeMetricFamily(name, text, value=sum(getattr(member, attribute) for member in self.members))


STANDINGS = {
    "mesh_members": ("members_here", "Members of meshes who are not away"),
    "mesh_channels_wanted": ("channels_wanted", "Channels that topologies want"),
    "mesh_channels_open": ("channels_open", "Channels that are open to members who hand on"),
}
standings = Standings()
REGISTRY.register(standings)


def note_frame(fate: str) -> None:
    """A frame came; ``fate`` is a field of ``Tally``."""
    _fates[fate].inc()


def note_answer(seconds: float) -> None:
    """Something came back from a member that is reached over others."""
    _answers.observe(seconds)


def note_detour() -> None:
    """Nothing came back, and another way is tried."""
    _detours.inc()


def note_fallback() -> None:
    """Nothing came back by any way, and the relay is used."""
    _fallbacks.inc()


def note_change() -> None:
    """The topology is another one."""
    _changes.inc()
