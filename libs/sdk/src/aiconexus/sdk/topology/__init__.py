"""Who should be connected to whom in a mesh, and what follows from it; computed, without any connection."""

from aiconexus.sdk.topology.adapting import Adaptation, Rules, adapt
from aiconexus.sdk.topology.analysis import Analysis, analyse
from aiconexus.sdk.topology.balancing import balance
from aiconexus.sdk.topology.building import full, hub_spoke, k_neighbour, ring
from aiconexus.sdk.topology.exchanging import Exchange, exchanged
from aiconexus.sdk.topology.healing import join, leave
from aiconexus.sdk.topology.routing import Hop, Routes, paths, routes
from aiconexus.sdk.topology.shape import Change, Edge, ImpossibleTopology, Kind, Shard, Topology, edge, opener
from aiconexus.sdk.topology.sharding import sharded
from aiconexus.sdk.topology.sizing import Scale, Trial, optimal_k, scalability, trials
from aiconexus.sdk.topology.weighing import Quality, cost, costs

__all__ = [
    "Adaptation",
    "Analysis",
    "Change",
    "Edge",
    "Exchange",
    "Hop",
    "ImpossibleTopology",
    "Kind",
    "Quality",
    "Routes",
    "Rules",
    "Scale",
    "Shard",
    "Topology",
    "Trial",
    "adapt",
    "analyse",
    "balance",
    "cost",
    "costs",
    "edge",
    "exchanged",
    "full",
    "hub_spoke",
    "join",
    "k_neighbour",
    "leave",
    "opener",
    "optimal_k",
    "paths",
    "ring",
    "routes",
    "scalability",
    "sharded",
    "trials",
]
