from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.frames import Hop, read_word
from aiconexus.protocol.hops import sign_hop
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import HOPS_MAX
from aiconexus.sdk.mesh.forwarding import BUFFERED_MAX, Forwarder
from aiconexus.sdk.topology import Topology, edge, k_neighbour, ring, routes

KEYS = [SigningKey(bytes([number]) * 32) for number in range(12)]
DIDS = [key.did for key in KEYS]
KEY_OF = {key.did: key for key in KEYS}


class Line:
    """A channel to a neighbour."""

    session = "s"
    road = "direct"

    def __init__(self, net: "Net", us: str, did: str) -> None:
        self.did = did
        self.is_open = True
        self.is_broken = False
        self.buffered_amount = 0
        self._net = net
        self._us = us

    def send(self, frame: bytes | str) -> None:
        """Have the neighbour take a frame, later."""
        if self.is_broken:
            raise ChannelClosed("aiconexus")
        assert isinstance(frame, str)
        self._net.under_way.append((self._us, self.did, read_word(frame)))


class Net:
    """Members with their channels."""

    def __init__(self, topology: Topology, hops_max: int = 8) -> None:
        self.under_way: list[tuple[str, str, Hop]] = []
        self.delivered: list[tuple[str, Hop]] = []
        self.lines = {did: {other: Line(self, did, other) for other in topology.neighbours(did)} for did in DIDS}
        self.members = {did: self._member(topology, did, hops_max) for did in topology.members}

    def _member(self, topology: Topology, did: str, hops_max: int) -> Forwarder:
        table = routes(topology, did, hops_max=hops_max)
        return Forwarder(
            did,
            members=lambda: topology.members,
            routes=lambda: table,
            neighbours=self.lines[did],
            deliver=lambda hop: self.delivered.append((did, hop)),
        )

    def cut(self, one: str, other: str) -> None:
        """Close the channel between two members."""
        del self.lines[one][other], self.lines[other][one]

    def run(self) -> int:
        """Let everything arrive; returns how many channels were passed."""
        passed = 0
        while self.under_way:
            _, did, hop = self.under_way.pop(0)
            passed += 1
            self.members[did].take(hop)
        return passed


def hop_of(sender: str, recipient: str, number: int = 0, hops: int = 8) -> Hop:
    """A frame between two members."""
    return sign_hop(KEY_OF[sender], recipient, "s", number, b"\x93", hops=hops)


def received(net: Net) -> list[tuple[str, str, int]]:
    """What came where."""
    return [(hop.sender, did, hop.number) for did, hop in net.delivered]


@settings(max_examples=25)
@given(k=st.integers(2, 5), seed=st.integers(0, 99), ends=st.permutations(range(12)))
def test_frame_comes_by_the_shortest_way(k: int, seed: int, ends: Sequence[int]) -> None:
    """Over as many channels as there must be, and once."""
    topology = k_neighbour(DIDS, k, seed=seed)
    net, (sender, recipient) = Net(topology), (DIDS[ends[0]], DIDS[ends[1]])
    net.members[sender].send(hop_of(sender, recipient))
    hops = next(iter(routes(topology, sender).next_hops(recipient))).hops

    assert hops == net.run()
    assert [(sender, recipient, 0)] == received(net)


@settings(max_examples=25)
@given(seed=st.integers(0, 99), lost=st.sets(st.integers(0, 23), max_size=6), ends=st.permutations(range(12)))
def test_lost_channels_are_gone_around(seed: int, lost: set[int], ends: Sequence[int]) -> None:
    """Where a neighbour knows a way it is found, even if the tables do not know of the loss; nothing comes twice."""
    topology = k_neighbour(DIDS, 4, seed=seed)
    net, (sender, recipient) = Net(topology), (DIDS[ends[0]], DIDS[ends[1]])
    for number in lost:
        net.cut(*topology.edges[number])
    net.members[sender].send(hop_of(sender, recipient))
    net.run()
    stranded = sum(member.tally.stranded for member in net.members.values())

    assert 1 == len(net.delivered) + stranded or not net.lines[sender]


def test_neighbours_that_take_nothing_are_passed_over() -> None:
    """One that is closed, one that breaks and one that has too much waiting are as good as none."""
    topology = k_neighbour(DIDS, 4, seed=1)
    net, sender = Net(topology), DIDS[0]
    first, second, third, last = net.lines[sender].values()
    first.is_open, second.is_broken, third.buffered_amount = False, True, BUFFERED_MAX + 1
    others = [did for did in DIDS if did != sender]

    assert {last.did} == {net.members[sender].send(hop_of(sender, did)) for did in others} - {None}


def test_frame_is_taken_once() -> None:
    """A frame that comes again, by whatever way, is not handed on again."""
    net = Net(ring(DIDS))
    us = DIDS[0]
    hop = hop_of(net.members[us].send(hop_of(us, DIDS[1])) or "", us)
    net.under_way.clear()
    net.members[us].take(hop)
    net.members[us].take(replace(hop, hops_left=2))

    assert 1 == len(net.delivered)
    assert (1, 1) == (net.members[us].tally.taken, net.members[us].tally.repeated)


def test_frame_that_we_handed_on_is_not_taken_back() -> None:
    """Nothing goes in circles, whatever its header says."""
    net, us = Net(ring(DIDS)), DIDS[0]
    net.members[us].take(replace(hop_of(DIDS[1], DIDS[2]), visited=(DIDS[1], us)))
    net.members[us].take(hop_of(us, DIDS[2]))

    assert 2 == net.members[us].tally.circled
    assert [] == net.under_way


def test_frame_without_hops_left_ends() -> None:
    """It is taken by its recipient, and handed on by nobody."""
    net = Net(ring(DIDS))
    hop = replace(hop_of(DIDS[1], DIDS[2]), hops_left=0)
    net.members[DIDS[0]].take(hop)
    net.members[DIDS[2]].take(hop)

    assert 1 == net.members[DIDS[0]].tally.expired
    assert [(DIDS[1], DIDS[2], 0)] == received(net)


def test_frame_that_went_too_far_is_not_made_worse() -> None:
    """A header that is full, as no honest member leaves it, is not handed on as a word that nobody can read."""
    net = Net(ring(DIDS))
    hop = replace(hop_of(DIDS[1], DIDS[3]), visited=(SigningKey(bytes([99]) * 32).did,) * HOPS_MAX)
    net.members[DIDS[2]].take(hop)

    assert 1 == net.members[DIDS[2]].tally.expired
    assert [] == net.under_way


def test_short_ttl_reaches_only_who_is_near() -> None:
    """Three channels reach six of the others in a ring."""
    topology = ring(DIDS)
    net = Net(topology, hops_max=3)
    for number, did in enumerate(DIDS[1:]):
        net.members[DIDS[0]].send(hop_of(DIDS[0], did, number, hops=3))
    net.run()

    assert 6 == len(net.delivered)


@pytest.mark.parametrize(
    "change",
    [{"sender": DIDS[3]}, {"number": 9}, {"recipient": "did:key:stranger"}, {"sender": "did:key:stranger"}],
    ids=["sender", "number", "to a stranger", "from a stranger"],
)
def test_forged_frame_is_not_handed_on(change: dict[str, object]) -> None:
    """Everybody on the way checks who said it."""
    net = Net(ring(DIDS))
    net.members[DIDS[0]].take(replace(hop_of(DIDS[1], DIDS[2]), **change))

    assert 1 == net.members[DIDS[0]].tally.forged
    assert ([], []) == (net.under_way, net.delivered)


def test_edges_are_those_of_the_topology() -> None:
    """The net of this test is what it claims to be."""
    net = Net(ring(DIDS))

    assert set(ring(DIDS).edges) == {edge(did, other) for did in DIDS for other in net.lines[did]}
