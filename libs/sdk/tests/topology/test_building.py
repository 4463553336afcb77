from hashlib import blake2b
from itertools import combinations
from random import Random

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import ImpossibleTopology, Kind, Topology, full, hub_spoke, k_neighbour, ring

from .meshes import HUNDRED, is_whole, members, meshes, spread


@given(mesh=meshes())
def test_k_neighbours_are_k(mesh: Topology) -> None:
    """All have k neighbours, but one where the sum would be odd; on a line the two ends have one."""
    count = len(mesh.members)
    expected = [min(mesh.k, count - 1)] * count
    expected[-1] += sum(expected) % 2
    line = [1, 1, *[2] * (count - 2)] if count > 1 else [0]

    assert (line if mesh.k == 1 else expected) == sorted(mesh.degree(member) for member in mesh.members)


@given(mesh=meshes())
def test_k_neighbours_are_connected(mesh: Topology) -> None:
    """Everybody reaches everybody."""
    assert is_whole(mesh)


@given(count=st.integers(3, 40), k=st.integers(2, 9), seed=st.integers())
def test_loss_of_one_member_splits_nothing(count: int, k: int, seed: int) -> None:
    """With two neighbours or more nobody is the only way."""
    assert nx.is_biconnected(k_neighbour(members(count), k, seed=seed).graph)


@given(mesh=meshes())
def test_edges_are_pairs_once_each(mesh: Topology) -> None:
    """Edges are in order, each once, the smaller end first, and nobody is its own neighbour."""
    assert sorted(set(mesh.edges)) == list(mesh.edges)
    assert [pair for pair in mesh.edges if pair[0] >= pair[1]] == []


@given(order=st.permutations(members(12)), seed=st.integers(0, 99))
def test_order_of_members_does_not_count(order: list[str], seed: int) -> None:
    """The same members and seed give the same topology."""
    assert k_neighbour(members(12), 4, seed=seed) == k_neighbour(order + order[:2], 4, seed=seed)
    assert ring(members(12), seed=seed) == ring(order, seed=seed)
    assert hub_spoke(members(12), hubs=2, seed=seed) == hub_spoke(order, hubs=2, seed=seed)


def test_seeds_differ() -> None:
    """Another seed gives another topology."""
    assert 3 == len({k_neighbour(HUNDRED, 20, seed=seed).edges for seed in range(3)})


def test_vector() -> None:
    """The edges of a hundred members are these, on every machine and in every release."""
    text = "\n".join(f"{one} {other}" for one, other in k_neighbour(HUNDRED, 20, seed=7).edges)

    assert "58e4178fc3c4b85680a6468e4f85981e" == blake2b(text.encode(), digest_size=16).hexdigest()


def test_shuffled_members_give_the_vector() -> None:
    """However many members there are, their order does not count."""
    shuffled = Random(1).sample(HUNDRED, 100)

    assert k_neighbour(HUNDRED, 20, seed=7) == k_neighbour(shuffled, 20, seed=7)


@given(count=st.integers(1, 20))
def test_full_is_everybody_with_everybody(count: int) -> None:
    """A full mesh lacks no edge."""
    assert tuple(combinations(members(count), 2)) == full(members(count)).edges


@pytest.mark.parametrize(
    ("count", "edges", "degrees"), [(1, 0, (0, 0)), (2, 1, (1, 1)), (3, 3, (2, 2)), (9, 9, (2, 2))]
)
def test_ring_is_one_circle(count: int, edges: int, degrees: tuple[int, int]) -> None:
    """Everybody has two neighbours, and all are in one circle."""
    mesh = ring(members(count), seed=4)

    assert edges == len(mesh.edges)
    assert degrees == spread(mesh)
    assert is_whole(mesh)


@given(count=st.integers(1, 30), hubs=st.integers(1, 5), seed=st.integers())
def test_every_spoke_has_every_hub(count: int, hubs: int, seed: int) -> None:
    """Hubs know everybody, spokes know the hubs."""
    mesh = hub_spoke(members(count + hubs), hubs=hubs, seed=seed)

    assert {count + hubs - 1} == {mesh.degree(hub) for hub in mesh.hubs}
    assert {mesh.hubs} == {mesh.neighbours(member) for member in mesh.members if member not in mesh.hubs}
    assert hubs == len(mesh.hubs)


@pytest.mark.parametrize("hubs", [0, 4])
def test_hubs_are_members(hubs: int) -> None:
    """There is a hub, and no more hubs than members."""
    with pytest.raises(ImpossibleTopology, match=f"{hubs} hubs among 3 members"):
        hub_spoke(members(3), hubs=hubs)


def test_no_neighbours_are_refused() -> None:
    """A k of 0 connects nobody."""
    with pytest.raises(ImpossibleTopology, match="0 neighbours"):
        k_neighbour(members(3), 0)


def test_kinds_are_named() -> None:
    """A topology says what it is."""
    found = [mesh.kind for mesh in (full(HUNDRED), ring(HUNDRED), hub_spoke(HUNDRED), k_neighbour(HUNDRED, 2))]

    assert [Kind.FULL, Kind.RING, Kind.HUB_SPOKE, Kind.K_NEIGHBOUR] == found
