"""Agents of a mesh hand on each other's mail, and close the gaps that others leave."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Self

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from tests.integration.sdk_agents import SECONDS, Heard, Host, listening

from aiconexus.protocol.errors import Refused
from aiconexus.protocol.frames import Hop, Word
from aiconexus.protocol.hops import sign_hop
from aiconexus.sdk import Agent, Identity
from aiconexus.sdk.delivery import Sent
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.mesh import Mesh, MeshSettings
from aiconexus.sdk.mesh.junction import Junction
from aiconexus.sdk.topology import ImpossibleTopology, Rules, Topology, edge, join, k_neighbour, leave, ring

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = MeshSettings(gone_seconds=0.5, patience_seconds=1.0, tune_seconds=0.0)
QUICK = Direct(ice_servers=(), report=False)
STEP_SECONDS = 2 * SECONDS


class Party:
    """Agents, what they hear, and their parts in a mesh."""

    def __init__(self, agents: list[Agent], topology: Topology, settings: MeshSettings = SETTINGS) -> None:
        self.settings = settings
        self.agents = {agent.did: agent for agent in agents}
        self.heard: dict[str, Heard] = {agent.did: listening(agent) for agent in agents}
        self.topology = topology
        self.meshes: dict[str, Mesh] = {}
        self.stack = AsyncExitStack()

    async def start(self, *dids: str) -> None:
        """Have some of them take part."""
        for did in dids:
            self.meshes[did] = await self.stack.enter_async_context(self.agents[did].mesh(self.topology, self.settings))

    async def complete(self) -> None:
        """Wait until no channel is missing."""
        await asyncio.gather(*(mesh.wait_complete(STEP_SECONDS) for mesh in self.meshes.values()))

    async def agree(self, topology: Topology) -> None:
        """Wait until all have come to this topology."""
        async with asyncio.timeout(STEP_SECONDS):
            for mesh in self.meshes.values():
                while mesh.topology != topology:
                    await mesh.wait_changed()

    def far(self) -> tuple[str, str]:
        """Two who have no channel."""
        return next(
            (one, other)
            for one in self.topology.members
            for other in self.topology.members
            if one < other and edge(one, other) not in self.topology.edges
        )

    async def until_used(self, sender: str, recipient: str) -> None:
        """Send until something takes the mesh."""
        async with asyncio.timeout(STEP_SECONDS):
            while (await self.agents[sender].send(recipient, "first")).road != "mesh":
                await self.heard[recipient].next()
            await self.heard[recipient].next()


class Thief:
    """A member that says it hands on, and keeps everything."""

    name = SETTINGS.name

    def __init__(self) -> None:
        self.stolen = 0
        self.met: set[str] = set()
        self.was_robbed = asyncio.Event()

    @classmethod
    async def beside(cls, agent: Agent, *others: Agent) -> Self:
        """Have an agent be one between others."""
        thief = cls()
        engine = agent._open
        peers = await engine.door.peers()
        peers.local.mail = Junction(engine.mail, thief, lambda _did, _error: None)
        for other in others:
            await agent.connect_to(other.did)
        return thief

    def is_member(self, did: str) -> bool:
        """Everybody is."""
        return bool(did)

    def note_open(self, did: str) -> None:
        """Nothing to do."""

    def note_met(self, did: str) -> None:
        """Nothing to do."""

    def note_shut(self, did: str) -> None:
        """Nothing to do."""

    def take_hop(self, hop: Hop) -> None:
        """Keep it."""
        self.stolen += 1
        self.was_robbed.set()

    def take_word(self, did: str, word: Word) -> None:
        """Nothing to do."""


async def party_of(
    host: Host,
    count: int,
    *,
    k: int = 2,
    dialects: tuple[str, ...] = ("nats",),
    settings: MeshSettings = SETTINGS,
) -> Party:
    """Agents who are here; their mesh has not begun."""
    agents = [host.make(dialects[number % len(dialects)], direct=QUICK) for number in range(count)]
    names = [agent.did for agent in agents]
    topology = ring(names, seed=1) if k == 2 else k_neighbour(names, k, seed=1)
    party = Party(agents, topology, settings)
    for agent in agents:
        await host.open(agent)
    return party


@pytest_asyncio.fixture(loop_scope="module")
async def six(host: Host) -> AsyncIterator[Party]:
    """Six in a ring, on every road."""
    party = await party_of(host, 6, dialects=("nats", "binary", "text"))
    async with party.stack:
        await party.start(*party.agents)
        await party.complete()
        yield party


async def test_everybody_reaches_everybody_over_others(six: Party) -> None:
    """Of six in a ring each reaches two directly, three over others, in order, once, and no relay."""
    sender, recipient = six.far()
    await six.until_used(sender, recipient)
    sent = [await six.agents[sender].send(recipient, number, timeout=0) for number in range(100)]
    for each in sent:
        await each.wait_processed(STEP_SECONDS)

    assert list(range(100)) == await six.heard[recipient].contents(100)
    assert Counter(mesh=100) == Counter(each.road for each in sent)
    assert 0 < sum(mesh.status.tally.handed_on for mesh in six.meshes.values())


async def test_broadcast_says_who_has_it(six: Party) -> None:
    """One envelope for each of the others; whoever does not exist is named."""
    mesh = six.meshes[six.topology.members[0]]
    report = await mesh.broadcast("all")

    assert report.is_complete
    assert set(six.topology.members[1:]) == set(report.stored)
    assert {"all"} == {(await six.heard[did].next()).content for did in six.topology.members[1:]}


async def test_gap_is_closed(six: Party) -> None:
    """When one goes the others find new neighbours, and what was on its way arrives."""
    gone = six.topology.members[2]
    sender, recipient = six.topology.neighbours(gone)
    sent = [await six.agents[sender].send(recipient, number, timeout=0) for number in range(20)]
    await six.meshes.pop(gone).close()
    await six.agents[gone].close()
    sent += [await six.agents[sender].send(recipient, number, timeout=0) for number in range(20, 40)]
    for each in sent:
        await each.wait_processed(STEP_SECONDS)
    await six.agree(leave(six.topology, [gone]).topology)
    await six.complete()

    assert list(range(40)) == await six.heard[recipient].contents(40)
    assert {2} == {len(mesh.status.open & mesh.status.wanted) for mesh in six.meshes.values()}
    assert {frozenset({gone})} == {mesh.status.gone for mesh in six.meshes.values()}


async def test_newcomer_is_told_to_all(host: Host, six: Party) -> None:
    """It takes its place in the ring, and everybody makes room."""
    newcomer = await host.open(host.make("nats", direct=QUICK))
    six.agents[newcomer.did], six.heard[newcomer.did] = newcomer, listening(newcomer)
    six.meshes[six.topology.members[0]].admit(newcomer.did)
    six.topology = join(six.topology, newcomer.did).topology
    await six.start(newcomer.did)
    await six.agree(six.topology)
    await six.complete()
    sender = next(
        did for did in six.topology.members if did not in (newcomer.did, *six.topology.neighbours(newcomer.did))
    )
    await six.until_used(sender, newcomer.did)

    assert {newcomer.did} <= six.meshes[six.topology.neighbours(newcomer.did)[0]].status.open


async def test_member_that_drops_everything_is_gone_around(host: Host) -> None:
    """Who takes frames and hands none on delays them; then another way is found, and all arrive in order."""
    party = await party_of(host, 4)
    async with party.stack:
        sender, recipient = party.far()
        dropper = party.topology.neighbours(sender)[0]
        await party.start(*(did for did in party.agents if did != dropper))
        thief = await Thief.beside(party.agents[dropper], party.agents[sender], party.agents[recipient])
        sent = [await party.agents[sender].send(recipient, -1, timeout=0)]
        await thief.was_robbed.wait()
        sent = [await party.agents[sender].send(recipient, number, timeout=0) for number in range(30)]
        for each in sent:
            await each.wait_processed(STEP_SECONDS)

        assert list(range(-1, 30)) == await party.heard[recipient].contents(31)


async def test_relay_is_the_last_resort(host: Host) -> None:
    """Where nobody can hand it on the relay takes it, at once or after some tries."""
    party = await party_of(host, 4)
    async with party.stack:
        sender, recipient = party.far()
        await party.start(sender, recipient, party.topology.neighbours(sender)[0])
        await party.agents[sender].send(recipient, "one")
        for did in set(party.meshes) - {sender, recipient}:
            await party.meshes.pop(did).close()
        sent = await party.agents[sender].send(recipient, "two")
        await sent.wait_processed(STEP_SECONDS)

        assert ["one", "two"] == await party.heard[recipient].contents(2)


async def test_mail_survives_exchanges_of_edges(host: Host) -> None:
    """While edges are closed and opened all the time, everything arrives in order and once."""
    rules = Rules(bad_factor=0.5, good_factor=0.1, rounds=1, gain_min=-9.0)
    settings = MeshSettings(patience_seconds=1.0, tune_seconds=0.5, rules=rules)
    party = await party_of(host, 8, k=4, settings=settings)
    async with party.stack:
        await party.start(*party.agents)
        await party.complete()
        sender, *_, recipient = party.topology.members
        first = party.meshes[sender]
        sent: list[Sent] = []
        async with asyncio.timeout(STEP_SECONDS):
            while first.status.exchanges < 4:
                await first.wait_changed()
                start = len(sent)
                sent += [await party.agents[sender].send(recipient, start + each, timeout=0) for each in range(25)]
        for each in sent:
            await each.wait_processed(STEP_SECONDS)

        assert list(range(len(sent))) == await party.heard[recipient].contents(len(sent))
        assert party.topology != first.topology


async def test_forged_frame_is_counted_and_not_handed_on(six: Party) -> None:
    """A member cannot speak for another one."""
    sender, recipient = six.far()
    mesh = six.meshes[sender]
    stranger = Identity.generate()
    hop: Hop = sign_hop(stranger.key, recipient, "s", 0, b"\x93", hops=3)
    mesh._open.take_hop(hop)

    assert 1 == mesh.status.tally.forged


async def test_agent_is_in_one_mesh_at_a_time(six: Party) -> None:
    """A second one is refused, and the first goes on."""
    did = six.topology.members[0]
    with pytest.raises(Refused):
        await six.agents[did].mesh(six.topology).start()
    sender, recipient = six.far()
    await six.until_used(sender, recipient)

    assert 2 == len(six.meshes[did].status.open)


def counted() -> dict[str, float]:
    """Every metric of meshes, whatever its labels."""
    found: Counter[str] = Counter()
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name.startswith("mesh_") and not sample.name.endswith(("_created", "_bucket", "_sum")):
                found[sample.name] += sample.value  # type: ignore[assignment]
    return dict(found)


async def test_each_metric_moves(host: Host) -> None:
    """What members count is moved by what happens, and what stands ends with them."""
    before = counted()
    honest, robbed = await party_of(host, 4), await party_of(host, 4)
    async with honest.stack, robbed.stack:
        await honest.start(*honest.agents)
        await honest.complete()
        await honest.until_used(*honest.far())
        honest.meshes[honest.topology.members[0]].admit(Identity.generate().did)
        ends = robbed.far()
        await robbed.start(*ends)
        for did in robbed.topology.neighbours(ends[0]):
            await Thief.beside(robbed.agents[did], *(robbed.agents[end] for end in ends))
        sent = await robbed.agents[ends[0]].send(ends[1], "by relay", timeout=0)
        await sent.wait_processed(2 * STEP_SECONDS)
        meanwhile = counted()
    after = counted()

    assert set(before) == set(meanwhile)
    assert [] == [name for name, value in meanwhile.items() if value <= before[name]]
    assert {0.0} == {after[name] for name in ("mesh_members", "mesh_channels_wanted", "mesh_channels_open")}


async def test_strangers_have_no_part(host: Host) -> None:
    """Who is not in the topology cannot take part, and who has not begun has no status."""
    agent = await host.open(host.make("nats"))
    mesh = agent.mesh(ring([Identity.generate().did, Identity.generate().did]))
    with pytest.raises(ImpossibleTopology):
        await mesh.start()
    with pytest.raises(Refused):
        mesh.admit("x")

    assert 2 == len(mesh.topology.members)
