import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.sdk.topology import ImpossibleTopology, Kind, analyse, sharded
from aiconexus.sdk.topology.sharding import inside

from .meshes import HUNDRED, members

REGIONS = {"europe": HUNDRED[:40], "asia": HUNDRED[40:70], "america": HUNDRED[70:]}


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), gateways=st.integers(1, 3), k=st.integers(1, 5))
def test_shards_are_connected(sizes: list[int], gateways: int, k: int) -> None:
    """Everybody reaches everybody, however small the shards."""
    regions = {
        f"region {number}": [f"{number}/{member}" for member in range(size)] for number, size in enumerate(sizes)
    }

    assert nx.is_connected(sharded(regions, k, gateways=gateways).graph)


@given(
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 2), seed=st.integers()
)
def test_loss_of_one_member_splits_no_shards(sizes: list[int], seed: int) -> None:
    """With two gateways nobody is the only way."""
    regions = {
        f"region {number}": [f"{number}/{member}" for member in range(size)] for number, size in enumerate(sizes)
    }

    assert nx.is_biconnected(sharded(regions, 4, seed=seed).graph)


def test_only_gateways_know_other_shards() -> None:
    """Edges between shards are those of gateways, one for each and every other shard."""
    mesh = sharded(REGIONS, 6, seed=3)
    within = {pair for shard in mesh.shards for pair in inside(mesh, shard).edges}
    between = set(mesh.edges) - within

    assert Kind.SHARDED == mesh.kind
    assert 6 == len(between)
    assert set(mesh.hubs) == {member for pair in between for member in pair}
    assert {8} == {mesh.degree(gateway) for gateway in mesh.hubs}
    assert ["america", "asia", "europe"] == [shard.name for shard in mesh.shards]


def test_five_hundred_agents_in_ten_regions() -> None:
    """Ten regions of fifty are a fiftieth of a full mesh, and nobody is far from anybody."""
    regions = {f"region {number}": [f"{number}/{member:02}" for member in range(50)] for number in range(10)}
    found = analyse(sharded(regions, 10, seed=1))

    assert (500, 2590, 1) == (found.members, found.edges, found.components)
    assert (10, 19) == (found.degree_min, found.degree_max)
    assert () == found.articulation_points
    assert found.diameter <= 7


@pytest.mark.parametrize(
    "regions",
    [{}, {"one": members(2), "two": members(3)}, {"one": members(2), "two": []}],
    ids=["none", "twice", "empty"],
)
def test_each_member_is_in_one_region(regions: dict[str, list[str]]) -> None:
    """No regions, an empty one, and a member of two are refused."""
    with pytest.raises(ImpossibleTopology):
        sharded(regions, 2)


def test_regions_need_gateways() -> None:
    """Without gateways regions are alone."""
    with pytest.raises(ImpossibleTopology, match="0 gateways"):
        sharded(REGIONS, 2, gateways=0)
