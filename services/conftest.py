"""What the tests of several services ask for."""

from typing import Any

import pytest

from aiconexus.runtime.testing import AgentWorld, Caller


@pytest.fixture
async def ann(world: AgentWorld[Any]) -> Caller:
    """A registered agent of the service's world."""
    agent: Caller = await world.agent()
    return agent


@pytest.fixture
async def bob(world: AgentWorld[Any]) -> Caller:
    """Another one."""
    agent: Caller = await world.agent()
    return agent
