import pytest

from aiconexus.protocol.frames import Costs, Exchanges, Word
from aiconexus.sdk.mesh.membership import Membership
from aiconexus.sdk.mesh.tuning import EXCHANGES_MAX, Tuner, weights
from aiconexus.sdk.topology import Edge, Rules, k_neighbour

NAMES = [f"m{number:02}" for number in range(20)]
BASE = k_neighbour(NAMES, 6, seed=3)
BAD = BASE.edges[17]


class Parish:
    """Members that tell each other at once."""

    def __init__(self, bad: set[Edge], away: str | None = None) -> None:
        self.bad = bad
        self.deaf: set[str] = set()
        self.members = {
            name: Membership(BASE, name, gone_seconds=0.0, absent_seconds=0.0, now=0.0)
            for name in NAMES
            if name != away
        }
        self.tuners = {name: self._tuner(name) for name in self.members}

    def _tuner(self, us: str) -> Tuner:
        def measure() -> dict[str, float]:
            topology = self.members[us].topology
            pairs = {other: (min(us, other), max(us, other)) for other in topology.neighbours(us)}
            return {other: 0.3 if pair in self.bad else 0.01 for other, pair in pairs.items()}

        return Tuner(
            us, self.members[us], Rules(rounds=2), measure=measure, say=lambda did, word: self.say(us, did, word)
        )

    def say(self, us: str, did: str, word: Word) -> None:
        """Tell a member."""
        if did in self.tuners and did not in self.deaf:
            assert isinstance(word, Costs | Exchanges)
            self.tuners[did].hear(us, word)

    def round(self) -> None:
        """Everybody reports, the leader last."""
        for tuner in reversed(self.tuners.values()):
            tuner.tell()


def test_everybody_exchanges_a_bad_edge() -> None:
    """After some bad rounds all members have the same topology without it."""
    parish = Parish({BAD})
    parish.round()
    before = {membership.topology for membership in parish.members.values()}
    parish.round()
    after = {membership.topology for membership in parish.members.values()}

    assert {BASE} == before
    assert 1 == len(after)
    assert BAD not in after.pop().edges


def test_next_leader_goes_on() -> None:
    """Where the lowest DID is gone the next one decides, with what was decided before."""
    parish = Parish({BAD}, away="m00")
    for membership in parish.members.values():
        membership.note_presence("m00", online=False, now=0.0)
        membership.look(1.0)
    parish.round()
    parish.round()

    assert {"m01"} == {tuner.leader for tuner in parish.tuners.values()}
    assert {1} == {membership.number for membership in parish.members.values()}


def test_leader_that_missed_a_decision_hears_of_it() -> None:
    """Members who know more tell it, and then it decides anew."""
    parish = Parish(set())
    for name in NAMES[1:]:
        parish.members[name].exchange(5, ())
    parish.round()
    parish.bad = {BAD}
    parish.round()
    parish.round()

    assert {6} == {membership.number for membership in parish.members.values()}


def test_only_the_leader_decides() -> None:
    """What another member says of exchanges changes nothing."""
    parish = Parish(set())
    word = Exchanges(9, (((BAD,), ()),))

    assert not parish.tuners["m03"].hear("m04", word)
    assert 0 == parish.members["m03"].number
    assert parish.tuners["m03"].hear("m00", word)


def test_late_member_catches_up() -> None:
    """Decisions are told again in every round."""
    parish = Parish({BAD})
    parish.deaf = {"m09"}
    parish.round()
    parish.round()
    parish.deaf = set()
    parish.round()

    assert 1 == len({membership.topology for membership in parish.members.values()})


def test_memory_of_exchanges_is_bounded() -> None:
    """The oldest is forgotten."""
    parish = Parish({BAD})
    for membership in parish.members.values():
        membership.exchange(7, tuple(((), ()) for _ in range(EXCHANGES_MAX)))
    parish.round()
    parish.round()

    assert {EXCHANGES_MAX} == {len(membership.exchanges) for membership in parish.members.values()}


def test_bad_edges_weigh_more() -> None:
    """Frames go around them; usual differences do not count."""
    assert pytest.approx({("a", "m"): 0.3 / 0.011}) == weights("m", {"a": 0.3, "b": 0.01, "x": 0.012, "z": 0.008}, 2.0)
    assert {} == weights("m", {}, 2.0)
    assert {} == weights("m", {"a": 0.0}, 2.0)
