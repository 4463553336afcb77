from collections.abc import Callable

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import (
    Change,
    ImpossibleTopology,
    Kind,
    Topology,
    full,
    hub_spoke,
    join,
    k_neighbour,
    leave,
    ring,
    sharded,
)
from aiconexus.sdk.topology.shape import degree_bounds

from .meshes import HUNDRED, applied, is_whole, members, meshes, of_edges, spread

REGIONS = {"europe": HUNDRED[:9], "asia": HUNDRED[9:14], "america": HUNDRED[14:15]}
NEW = "did:key:z6MkNew"


def is_sound(topology: Topology) -> bool:
    """Whether it is connected, and the degrees are within their bounds."""
    least, most = degree_bounds(len(topology.members), topology.k)
    return is_whole(topology) and least <= spread(topology)[0] and spread(topology)[1] <= most


def through(topology: Topology, steps: list[tuple[bool, int]]) -> list[Topology]:
    """What becomes of a topology while members come and go."""
    found = [topology]
    for number, (is_coming, chosen) in enumerate(steps):
        mesh = found[-1]
        is_leaving = not is_coming and len(mesh.members) > 1
        step = leave(mesh, [mesh.members[chosen % len(mesh.members)]]) if is_leaving else join(mesh, f"new {number}")
        found.append(step.topology)
    return found


@given(mesh=meshes(), steps=st.lists(st.tuples(st.booleans(), st.integers(0, 99)), max_size=30))
def test_mesh_stays_sound_while_members_come_and_go(mesh: Topology, steps: list[tuple[bool, int]]) -> None:
    """After every step it is connected, and the degrees are within their bounds."""
    assert [found for found in through(mesh, steps) if not is_sound(found)] == []


@given(mesh=meshes(least=2), data=st.data())
def test_loss_of_many_is_mended(mesh: Topology, data: st.DataObject) -> None:
    """Whoever is left is connected with the others, the degrees are within their bounds."""
    gone = data.draw(st.sets(st.sampled_from(mesh.members), max_size=len(mesh.members) - 1))
    found = leave(mesh, gone)

    assert is_sound(found.topology)
    assert set(found.topology.members) == set(mesh.members) - gone
    assert set(found.topology.edges) == applied(left_of(mesh, gone), found.opened, found.closed)


def left_of(mesh: Topology, gone: set[str]) -> list[tuple[str, str]]:
    """The edges that nobody closed."""
    return [pair for pair in mesh.edges if gone.isdisjoint(pair)]


@given(mesh=meshes(least=3), data=st.data())
def test_few_edges_are_changed_when_one_goes(mesh: Topology, data: st.DataObject) -> None:
    """No more are opened than were lost and closed, and hardly one is closed."""
    gone = data.draw(st.sampled_from(mesh.members))
    found = leave(mesh, [gone])

    assert len(found.opened) <= mesh.degree(gone) + len(found.closed)
    assert len(found.closed) <= 1


@given(mesh=meshes())
def test_new_member_opens_k_edges(mesh: Topology) -> None:
    """A new member finds its neighbours; where all have room nobody loses one."""
    found = join(mesh, NEW)
    expected = min(max(mesh.k, 1), len(mesh.members))

    assert expected == len(found.opened) == found.topology.degree(NEW)
    assert is_sound(found.topology)


def test_new_member_comes_between_where_nobody_has_room() -> None:
    """Two edges for the newcomer take the place of one."""
    mesh = k_neighbour(members(9), 3)
    crowded = Topology(kind=mesh.kind, seed=1, members=mesh.members, edges=k_neighbour(members(9), 4).edges, k=3)
    found = join(crowded, NEW)

    assert (3, 2) == (len(found.opened), len(found.closed))
    assert is_sound(found.topology)


def test_loss_of_ten_of_a_hundred() -> None:
    """Ten agents are killed: the others open about as many edges as half of the ends that were lost."""
    mesh = k_neighbour(HUNDRED, 20, seed=7)
    gone = HUNDRED[::10]
    lost = len(mesh.edges) - len(left_of(mesh, set(gone)))
    found = leave(mesh, gone)

    assert is_sound(found.topology)
    assert len(found.opened) <= lost // 2 + 20
    assert () == found.closed


def test_hub_whose_loss_leaves_parts_is_mended() -> None:
    """A member that held others together is replaced by edges between them."""
    triangles = [("hub", "a"), ("a", "b"), ("b", "c"), ("a", "c"), ("hub", "d"), ("d", "e"), ("e", "f"), ("d", "f")]
    found = leave(of_edges([*triangles, ("hub", "g"), ("g", "h"), ("h", "i"), ("g", "i")], k=2), ["hub"])

    assert is_sound(found.topology)


def test_parts_without_room_open_a_circle() -> None:
    """Where everybody has enough neighbours an edge is closed to make room; the result is connected."""
    lines = [("hub", f"{part}{end}") for part in "xyz" for end in (0, 1)]
    circles = [(f"{part}{one}", f"{part}{(one + 1) % 4}") for part in "xyz" for one in range(4)]
    found = leave(of_edges([*lines[::2], *circles], k=1), ["hub"])

    assert is_whole(found.topology)
    assert found.closed


@pytest.mark.parametrize("build", [full, ring, hub_spoke], ids=["full", "ring", "hub-spoke"])
def test_other_kinds_stay_what_they_are(build: Callable[..., Topology]) -> None:
    """After somebody came and went it is as if nothing had happened."""
    mesh = build(members(12), seed=5)
    more = join(mesh, NEW).topology

    assert mesh.kind == more.kind
    assert mesh == leave(more, [NEW]).topology


def test_ring_opens_two_and_closes_one() -> None:
    """A newcomer takes its place between two."""
    found = join(ring(members(12)), NEW)

    assert (2, 1) == (len(found.opened), len(found.closed))
    assert 1 == len(leave(ring(members(12)), members(1)).opened)


def test_lost_hub_is_replaced() -> None:
    """The other hubs stay, and a spoke becomes a hub."""
    mesh = hub_spoke(members(12), hubs=3)
    after = leave(mesh, [mesh.hubs[1]]).topology

    assert 3 == len(after.hubs)
    assert {mesh.hubs[0], mesh.hubs[2]} < set(after.hubs)


def test_last_members_are_hubs() -> None:
    """Where there are fewer members than hubs, all are hubs."""
    mesh = hub_spoke(members(4), hubs=3)
    after = leave(mesh, [member for member in mesh.members if member in mesh.hubs[:2]]).topology

    assert after.members == after.hubs


@given(data=st.data(), count=st.integers(1, 14))
def test_shards_are_mended(data: st.DataObject, count: int) -> None:
    """Whoever is lost, gateways and whole shards too, the rest is connected."""
    mesh = sharded(REGIONS, 3)
    gone = data.draw(st.sets(st.sampled_from(mesh.members), min_size=count, max_size=count))
    after = leave(mesh, gone).topology

    assert is_whole(after)
    assert Kind.SHARDED == after.kind
    assert after.members == tuple(sorted(member for shard in after.shards for member in shard.members))


def test_newcomer_joins_its_shard() -> None:
    """It opens edges inside of its shard only."""
    found: Change = join(sharded(REGIONS, 3), NEW, shard="asia")
    (asia,) = (shard for shard in found.topology.shards if shard.name == "asia")

    assert NEW in asia.members
    assert 3 == len(found.opened)
    assert {member for pair in found.opened for member in pair} <= set(asia.members)
    assert nx.is_connected(found.topology.graph)


def test_newcomer_to_no_shard_is_refused() -> None:
    """A sharded topology needs to know where."""
    with pytest.raises(ImpossibleTopology, match="mars"):
        join(sharded(REGIONS, 3), NEW, shard="mars")


def test_nobody_joins_twice() -> None:
    """A member is in it once."""
    with pytest.raises(ImpossibleTopology):
        join(full(members(3)), members(1)[0])


@pytest.mark.parametrize("gone", [members(3), ["nobody"]], ids=["all", "stranger"])
def test_who_is_not_there_cannot_leave(gone: list[str]) -> None:
    """Nor can everybody."""
    with pytest.raises(ImpossibleTopology):
        leave(full(members(3)), gone)
