"""A small world for the tests: a real server with all accounts, replicas of signaling, agents that come by an edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiconexus.runtime.context import Context
from aiconexus.runtime.testing import AgentWorld, Caller
from aiconexus.signaling.service import serve
from aiconexus.signaling.settings import SignalingSettings


class Agent(Caller):
    """An agent that looks for a direct connection."""

    service, verb = "signaling", "forward"


class World(AgentWorld[Agent]):
    """Keys, server and replicas of a test."""

    agent_type = Agent

    @property
    def did(self) -> str:
        """Whom questions are addressed to."""
        return self.keys["signaling"].did

    @asynccontextmanager
    async def signaling(self, instance: str = "s1", **options: Any) -> AsyncIterator[Context[SignalingSettings]]:
        """One replica at work."""
        seed = self.keys["signaling"].seed
        settings = SignalingSettings(nats_urls=(self.server.url,), seed=seed, directory_file="", **options)
        context = await self.context("signaling", instance, settings)
        async with serve(context):
            yield context
