import networkx as nx
import pytest

from aiconexus.sdk.topology import ImpossibleTopology, Scale, k_neighbour, optimal_k, scalability, trials

from .meshes import HUNDRED


def test_optimal_k_is_the_smallest_that_is_enough() -> None:
    """The last that was tried is enough, and none before."""
    tried = trials(100, connectivity=5, diameter=3)

    assert [*[False] * (len(tried) - 1), True] == [trial.is_enough for trial in tried]
    assert list(range(5, tried[-1].k + 1)) == [trial.k for trial in tried]


@pytest.mark.parametrize(
    ("count", "diameter", "connectivity"), [(30, 2, 1), (100, 3, 5), (50, 4, 5), (50, 5, 2), (40, 3, 12)]
)
def test_optimal_k_keeps_its_promise(count: int, diameter: int, connectivity: int) -> None:
    """What it says is true of the mesh that everybody builds."""
    names = [f"member {number}" for number in range(count)]
    mesh = k_neighbour(names, optimal_k(count, connectivity=connectivity, diameter=diameter))

    assert nx.diameter(mesh.graph) <= diameter
    assert nx.node_connectivity(mesh.graph) >= connectivity


@pytest.mark.parametrize(("share", "k"), [(0.9, 14), (0.99, 20)])
def test_share_of_near_pairs_asks_for_more(share: float, k: int) -> None:
    """About twenty neighbours bring nearly all of a hundred within two hops."""
    assert k == optimal_k(100, connectivity=5, diameter=3, share_within_two=share)


@pytest.mark.parametrize("members", [2, 3, 5])
def test_few_members_are_connected_with_everybody(members: int) -> None:
    """Where everybody must know everybody, k is the number of the others."""
    assert members - 1 == optimal_k(members, connectivity=1, diameter=1)
    assert members - 1 == optimal_k(members, connectivity=members - 1, diameter=9)


@pytest.mark.parametrize(
    ("members", "connectivity", "diameter", "share"),
    [(1, 1, 1, 0.0), (5, 5, 1, 0.0), (5, 0, 1, 0.0), (5, 1, 0, 0.0), (5, 1, 1, 1.1), (5, 1, 1, float("nan"))],
)
def test_impossible_wishes_are_refused(members: int, connectivity: int, diameter: int, share: float) -> None:
    """Nobody searches for what no mesh is."""
    with pytest.raises(ImpossibleTopology):
        optimal_k(members, connectivity=connectivity, diameter=diameter, share_within_two=share)


@pytest.mark.parametrize("count", [2, 5, 10, 11])
@pytest.mark.parametrize("k", [1, 2, 3, 20])
def test_edges_are_those_of_the_mesh(count: int, k: int) -> None:
    """What is foretold is what is built, with one neighbour, too, where the mesh is a line."""
    mesh = k_neighbour([f"member {number}" for number in range(count)], k)

    assert len(mesh.edges) == scalability([count], k, 1)[0].edges


def test_scalability() -> None:
    """The full mesh grows with the square of the members, the partial one with their number."""
    expected = [
        Scale(members=10, full_edges=45, full_bytes=9000, k=9, edges=45, bytes=9000, share=1.0),
        Scale(members=100, full_edges=4950, full_bytes=99_000, k=20, edges=1000, bytes=20_000, share=1000 / 4950),
        Scale(members=1000, full_edges=499_500, full_bytes=999_000, k=20, edges=10_000, bytes=20_000, share=10 / 499.5),
    ]

    assert expected == scalability([10, 100, 1000], 20, 1000)


def test_odd_sums_are_rounded_up() -> None:
    """As one member has one neighbour more."""
    assert len(k_neighbour(HUNDRED[:9], 3).edges) == scalability([9], 3, 1)[0].edges
