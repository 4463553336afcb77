"""Agents that use what is relayed, and nothing else."""

from typing import Any

from tests.integration.sdk_agents import Host

from aiconexus.protocol.signal_bodies import IceServer
from aiconexus.sdk import Agent
from aiconexus.sdk.direct.settings import Direct

TRANSPORTS = ["udp", "tcp", "tls"]


async def hidden(host: Host, *servers: IceServer, **options: Any) -> Agent:
    """One such agent, through these servers or those that signaling names."""
    direct = Direct(policy="relay", ice_servers=servers or None, **options)
    return await host.open(host.make(direct=direct))
