import pytest

from aiconexus.sdk.topology import Topology, analyse, full, hub_spoke, k_neighbour, ring

from .meshes import HUNDRED, members, of_edges

SEEDS = range(7)
TRIANGLES = [("a", "b"), ("b", "c"), ("a", "c"), ("d", "e"), ("e", "f"), ("d", "f")]


@pytest.mark.parametrize("seed", SEEDS)
def test_hundred_agents_with_twenty_neighbours(seed: int) -> None:
    """A fifth of the edges of a full mesh, and nobody is more than three hops away."""
    found = analyse(k_neighbour(HUNDRED, 20, seed=seed))

    assert (1000, 4950) == (found.edges, found.edges_possible)
    assert (20, 20, 20.0) == (found.degree_min, found.degree_max, found.degree_mean)
    assert 3 == found.diameter
    assert pytest.approx(1.80, abs=0.01) == found.path_mean
    assert pytest.approx(0.994, abs=0.004) == found.share_within(2)
    assert pytest.approx(0.185, abs=0.01) == found.clustering
    assert (1, (), ()) == (found.components, found.articulation_points, found.bridges)


def test_vector() -> None:
    """The figures of the seed 7, to the last digit."""
    found = analyse(k_neighbour(HUNDRED, 20, seed=7))

    assert (20 / 99, (1000 / 4950, 4923 / 4950, 1.0)) == (found.density, found.within_hops)


@pytest.mark.parametrize(
    ("mesh", "diameter", "path_mean", "clustering"),
    [
        (full(members(10)), 1, 1.0, 1.0),
        (ring(members(9)), 4, 2.5, 0.0),
        (hub_spoke(members(5)), 2, 1.6, 0.0),
        (full(members(1)), 0, 0.0, 0.0),
    ],
    ids=["full", "ring", "star", "alone"],
)
def test_known_figures(mesh: Topology, diameter: int, path_mean: float, clustering: float) -> None:
    """What anybody can work out by hand."""
    found = analyse(mesh)

    assert (diameter, path_mean, clustering) == (found.diameter, found.path_mean, found.clustering)
    assert 1.0 == found.share_within(9)


def test_weak_points_are_found() -> None:
    """Two triangles that hang together by one edge."""
    found = analyse(of_edges([*TRIANGLES, ("c", "d")]))

    assert (("c", "d"),) == found.bridges
    assert ("c", "d") == found.articulation_points
    assert (7 / 15, 11 / 15, 1.0) == found.within_hops


def test_parts_are_counted() -> None:
    """Distances of what is not connected are those of the pairs that are."""
    found = analyse(of_edges(TRIANGLES))

    assert (2, 1, 1.0) == (found.components, found.diameter, found.path_mean)
    assert 6 / 15 == found.share_within(5)
