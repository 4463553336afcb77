"""Topologies of regions: dense inside a region, a few gateways between them."""

from collections.abc import Iterable, Mapping
from itertools import combinations

from aiconexus.sdk.topology.building import k_neighbour
from aiconexus.sdk.topology.shape import Edge, ImpossibleTopology, Kind, Shard, Topology, edge, ranked


def sharded(regions: Mapping[str, Iterable[str]], k: int, *, gateways: int = 2, seed: int = 0) -> Topology:
    """
    Connect each region as a k-neighbour topology, and every two regions by one edge for each of their gateways.

    A gateway has at most one neighbour more for each other region, where all regions have that many members. With two
    gateways or more, any one member may fail and the rest stays connected.

    Args:
        regions: Their names and members.
        k: Neighbours that each member has in its region, as in ``k_neighbour``.
        gateways: How many members of each region are connected to other regions; all, where there are fewer.
        seed: Any number.

    Raises:
        ImpossibleTopology: If a region is empty, nobody is a gateway, or a member is in two regions.

    """
    if gateways < 1:
        raise ImpossibleTopology(f"{gateways} gateways connect no regions")
    inner = {name: k_neighbour(regions[name], k, seed=seed) for name in sorted(regions)}
    shards = [
        Shard(name=name, members=part.members, gateways=ranked(part.members, seed)[:gateways])
        for name, part in inner.items()
    ]
    return joined(shards, inner.values(), k, seed)


def joined(shards: Iterable[Shard], inner: Iterable[Topology], k: int, seed: int) -> Topology:
    """
    Put regions and the edges between them together.

    Raises:
        ImpossibleTopology: If there are no regions, or a member is in two of them.

    """
    order = tuple(sorted(shards, key=lambda shard: shard.name))
    members = sorted(member for shard in order for member in shard.members)
    if not members or len(members) != len(set(members)):
        raise ImpossibleTopology("each member is in one region, and there is at least one")
    edges = {pair for part in inner for pair in part.edges}.union(_links(order))
    return Topology(
        kind=Kind.SHARDED,
        seed=seed,
        members=tuple(members),
        edges=tuple(sorted(edges)),
        k=k,
        hubs=tuple(sorted(gateway for shard in order for gateway in shard.gateways)),
        shards=order,
    )


def inside(topology: Topology, shard: Shard) -> Topology:
    """One region alone."""
    members = set(shard.members)
    edges = tuple(pair for pair in topology.edges if members.issuperset(pair))
    return Topology(kind=Kind.K_NEIGHBOUR, seed=topology.seed, members=shard.members, edges=edges, k=topology.k)


def _links(shards: tuple[Shard, ...]) -> set[Edge]:
    return {
        edge(here.gateways[turn % len(here.gateways)], there.gateways[turn % len(there.gateways)])
        for here, there in combinations(shards, 2)
        for turn in range(max(len(here.gateways), len(there.gateways)))
    }
