import subprocess
import sys

import networkx as nx
import pytest

from aiconexus.sdk.topology import ImpossibleTopology, full
from aiconexus.sdk.topology.shape import change, degree_bounds, edge, opener, rank, ranked

from .meshes import members, of_edges


def test_neighbours_are_in_order() -> None:
    """A member's neighbours are named in order, and counted."""
    mesh = of_edges([("b", "a"), ("b", "c"), ("c", "d")])

    assert ("a", "c") == mesh.neighbours("b")
    assert 2 == mesh.degree("b")


def test_graph_refuses_changes() -> None:
    """What others compute with stays what it was."""
    with pytest.raises(nx.NetworkXError):
        full(members(3)).graph.add_edge("x", "y")


def test_edge_does_not_depend_on_who_is_named_first() -> None:
    """An edge has no direction."""
    assert edge("a", "b") == edge("b", "a")


def test_both_ends_agree_who_opens() -> None:
    """One of the two does, and about half of all edges fall to each."""
    names = members(100)
    chosen = [opener(one, other) for one in names[:50] for other in names[50:]]

    assert chosen == [opener(other, one) for one in names[:50] for other in names[50:]]
    assert 0.45 < sum(name in names[:50] for name in chosen) / len(chosen) < 0.55


def test_place_of_a_member_does_not_depend_on_others() -> None:
    """Without one member the order of the others is the same."""
    order = ranked(members(30), 3)

    assert order[1:] == ranked(order[1:], 3)
    assert rank(3, "a") != rank(4, "a")


def test_nobody_is_no_topology() -> None:
    """No members, no topology."""
    with pytest.raises(ImpossibleTopology, match="no such topology: it has no members"):
        ranked([], 0)


def test_change_leaves_out_edges_of_the_gone() -> None:
    """Whoever left closed its edges itself."""
    before, after = of_edges([("a", "b"), ("b", "c"), ("a", "d")]), of_edges([("a", "c"), ("b", "c")])
    found = change(before, after)

    assert after == found.topology
    assert (("a", "c"),) == found.opened
    assert (("a", "b"),) == found.closed


@pytest.mark.parametrize(
    ("count", "k", "bounds"), [(100, 20, (20, 21)), (21, 20, (20, 20)), (5, 20, (4, 4)), (1, 20, (0, 0))]
)
def test_degrees_are_bounded(count: int, k: int, bounds: tuple[int, int]) -> None:
    """Among few members nobody can have k neighbours."""
    assert bounds == degree_bounds(count, k)


def test_sdk_does_not_wait_for_networkx() -> None:
    """Who imports the SDK does not pay for topologies."""
    script = "import sys, aiconexus.sdk; print({'networkx', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "set()" == done.stdout.strip()
