"""Members and topologies for tests."""

from collections.abc import Sequence

import networkx as nx
from hypothesis import strategies as st

from aiconexus.sdk.topology import Kind, Topology, edge, k_neighbour

HUNDRED = [f"did:key:z6Mk{number:040}" for number in range(100)]


def members(count: int) -> list[str]:
    """The first of a hundred."""
    return HUNDRED[:count]


def of_edges(edges: Sequence[tuple[str, str]], *, kind: Kind = Kind.K_NEIGHBOUR, k: int = 1) -> Topology:
    """A topology as it may have become, not as anybody would build it."""
    pairs = {edge(*pair) for pair in edges}
    names = sorted({name for pair in pairs for name in pair})
    return Topology(kind=kind, seed=0, members=tuple(names), edges=tuple(sorted(pairs)), k=k)


def spread(topology: Topology) -> tuple[int, int]:
    """The least and the greatest degree."""
    degrees = [topology.degree(member) for member in topology.members]
    return min(degrees), max(degrees)


def is_whole(topology: Topology) -> bool:
    """Whether everybody reaches everybody."""
    return bool(nx.is_connected(topology.graph))


def applied(
    edges: Sequence[tuple[str, str]], opened: Sequence[tuple[str, str]], closed: Sequence[tuple[str, str]]
) -> set[tuple[str, str]]:
    """What follows from a change."""
    return set(edges).difference(closed).union(opened)


@st.composite
def meshes(draw: st.DrawFn, least: int = 1) -> Topology:
    """Any k-neighbour topology."""
    count = draw(st.integers(least, 40))
    return k_neighbour(members(count), draw(st.integers(1, 9)), seed=draw(st.integers(0, 999)))


@st.composite
def connected(draw: st.DrawFn) -> Topology:
    """Anything connected: a tree and some edges more."""
    count = draw(st.integers(2, 25))
    tree = [(HUNDRED[draw(st.integers(0, number - 1))], HUNDRED[number]) for number in range(1, count)]
    ends = st.sampled_from(members(count))
    more = draw(st.lists(st.tuples(ends, ends).filter(lambda pair: pair[0] != pair[1]), max_size=40))
    return of_edges([*tree, *more])
