import networkx as nx
import pytest
from hypothesis import given

from aiconexus.sdk.topology import ImpossibleTopology, Topology, balance, full, hub_spoke

from .meshes import applied, connected, is_whole, members, of_edges, spread


@given(mesh=connected())
def test_degrees_differ_by_one_at_most(mesh: Topology) -> None:
    """However uneven it was, edges are spread evenly in the end, and it is connected."""
    after = balance(mesh).topology
    least, most = spread(after)

    assert most - least <= 1
    assert is_whole(after)
    assert len(mesh.edges) == len(after.edges)


@given(mesh=connected())
def test_change_leads_to_the_new_topology(mesh: Topology) -> None:
    """As many edges are opened as are closed, and they are the difference."""
    found = balance(mesh)

    assert set(found.topology.edges) == applied(mesh.edges, found.opened, found.closed)
    assert len(found.opened) == len(found.closed)


@given(mesh=connected())
def test_balanced_is_left_alone(mesh: Topology) -> None:
    """There is nothing to do twice, and everybody finds the same."""
    after = balance(mesh)

    assert after == balance(mesh)
    assert () == balance(after.topology).opened


def test_star_becomes_a_line() -> None:
    """The fewest edges that connect, spread evenly."""
    after = balance(hub_spoke(members(30))).topology

    assert (1, 2) == spread(after)
    assert is_whole(after)


def test_move_that_would_split_is_not_made() -> None:
    """A tree whose every edge is a bridge stays one."""
    after = balance(
        of_edges([("a", "b"), ("a", "c"), ("a", "d"), ("d", "e"), ("d", "f"), ("d", "g"), ("g", "h")])
    ).topology

    assert nx.is_tree(after.graph)
    assert (1, 2) == spread(after)


def test_nobody_to_balance() -> None:
    """One member alone is balanced."""
    assert () == balance(full(members(1))).opened


def test_parts_are_refused() -> None:
    """What is not connected cannot be kept connected."""
    with pytest.raises(ImpossibleTopology):
        balance(of_edges([("a", "b"), ("c", "d")]))
