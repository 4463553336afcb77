"""Meshes of agents: ``async with agent.mesh(topology) as mesh``."""

from aiconexus.sdk.mesh.forwarding import Tally
from aiconexus.sdk.mesh.mesh import Mesh, MeshStatus
from aiconexus.sdk.mesh.settings import MeshSettings

__all__ = ["Mesh", "MeshSettings", "MeshStatus", "Tally"]
