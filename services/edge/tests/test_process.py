"""Edges as processes: told to stop, killed, and several of them."""

import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aiconexus.cli.platform import Platform
from aiconexus.cli.testing import logged_platform
from aiconexus.protocol.bodies import Fetch, Mail, Message, Watch
from aiconexus.protocol.closing import Close
from aiconexus.runtime.health import Health

from .world import Agents, Edge

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A whole platform with two edges."""
    async with logged_platform(tmp_path_factory.mktemp("edges"), scale={"edge": 2}) as started:
        yield started


def edges(running: Platform) -> tuple[Edge, Edge]:
    """Both of them."""
    ports = [running._ports(name).http for name in ("edge", "edge-2")]
    return Edge(ports[0], "edge", Health("edge")), Edge(ports[1], "edge-2", Health("edge"))


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, Close.GOING_AWAY), (signal.SIGKILL, 1006)], ids=["SIGTERM", "SIGKILL"]
)
async def test_edge_that_ends_takes_its_agents_offline(
    running: Platform, agents: Agents, how: signal.Signals, code: int
) -> None:
    """Watchers on another edge hear of it, and the agents find their mail on that one."""
    dying, other = edges(running)
    agent, watcher = await agents.agent(dying), await agents.agent(other)
    await watcher.ask(Watch(dids=(agent.did,)), watcher.services["edge"])
    os.kill(running.pids["edge"] or 0, how)
    ending = (await agent.ending())[0]
    gone = await watcher.gone()
    await watcher.say(Message(content="waiting"), agent.did)
    await watcher.until("RECEIPT")
    again = await agents.agent(other, key=agent.key)
    page = await again.ask(Fetch(), again.services["relay"])
    await running.restart("edge")

    assert code == ending
    assert agent.did == gone.did
    assert isinstance(page, Mail)
    assert 1 == len(page.items)
