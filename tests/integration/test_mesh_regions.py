"""Regions of agents: mail crosses by the gateways, and goes on when one of them dies."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.integration.sdk_agents import Host
from tests.integration.test_mesh import QUICK, STEP_SECONDS, Party

from aiconexus.sdk.topology import Shard, leave, sharded

pytestmark = pytest.mark.asyncio(loop_scope="module")

REGIONS = ("east", "north", "west")
MEMBERS = 4
"""Of each region; two of them are gateways."""


@pytest_asyncio.fixture(loop_scope="module")
async def regions(host: Host) -> AsyncIterator[Party]:
    """Three regions, each with real channels among its members and four to the others."""
    agents = [host.make("nats", direct=QUICK) for _ in range(len(REGIONS) * MEMBERS)]
    names = [agent.did for agent in agents]
    places = {name: names[at * MEMBERS : (at + 1) * MEMBERS] for at, name in enumerate(REGIONS)}
    party = Party(agents, sharded(places, 2, gateways=2, seed=3))
    for agent in agents:
        await host.open(agent)
    async with party.stack:
        await party.start(*party.agents)
        await party.complete()
        yield party


def inner(shard: Shard) -> str:
    """A member that has no channel out of its region."""
    return next(member for member in shard.members if member not in shard.gateways)


async def test_mail_crosses_by_a_gateway_and_survives_its_death(regions: Party) -> None:
    """No channel joins the two; what is sent goes over members, in order, once, also while a gateway goes away."""
    here, there, _ = regions.topology.shards
    sender, recipient = inner(here), inner(there)
    assert len(regions.meshes[sender].status.open) == len(regions.topology.neighbours(sender))
    await regions.until_used(sender, recipient)

    sent = [await regions.agents[sender].send(recipient, number, timeout=0) for number in range(50)]
    gone = here.gateways[0]
    await regions.meshes.pop(gone).close()
    await regions.agents[gone].close()
    sent += [await regions.agents[sender].send(recipient, number, timeout=0) for number in range(50, 100)]
    await asyncio.gather(*(each.wait_processed(STEP_SECONDS) for each in sent))
    await regions.agree(leave(regions.topology, [gone]).topology)
    await regions.complete()

    assert list(range(100)) == await regions.heard[recipient].contents(100)
    assert Counter(mesh=100) == Counter(each.road for each in sent)
    handed_on = {did for did, mesh in regions.meshes.items() if mesh.status.tally.handed_on}
    assert handed_on & {*here.gateways, *there.gateways}
