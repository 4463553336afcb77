"""The inside of one member of a mesh: what follows from channels, presence, words and time."""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

from aiconexus.protocol.errors import AiconexusError, EnvelopeError
from aiconexus.protocol.frames import Admit, Costs, Exchanges, Hop, Word, read_word, write_word
from aiconexus.sdk.engine import Engine
from aiconexus.sdk.mesh import metrics
from aiconexus.sdk.mesh.edges import Edges
from aiconexus.sdk.mesh.forwarding import Forwarder
from aiconexus.sdk.mesh.junction import Junction
from aiconexus.sdk.mesh.membership import Membership
from aiconexus.sdk.mesh.settings import MeshSettings
from aiconexus.sdk.mesh.tuning import Tuner, weights
from aiconexus.sdk.mesh.way import Pace, Sending, Way
from aiconexus.sdk.topology import Edge, ImpossibleTopology, Quality, Routes, Topology, cost, routes

if TYPE_CHECKING:
    from aiconexus.sdk.direct.peers import Peers

LOOK_SECONDS = 0.5
WATCH_AGAIN_SECONDS = 2.0
CONNECT_SECONDS = 30.0
BUFFER_BYTES = 1024 * 1024
"""A channel with so much waiting counts as fully loaded."""


class Member:
    """
    Our part in a mesh.

    Args:
        engine: The agent's.
        peers: Its direct connections.
        topology: With everybody.
        settings: The same for all members.

    """

    def __init__(self, engine: Engine, peers: "Peers", topology: Topology, settings: MeshSettings) -> None:
        self.us = us = engine.link.services.voice.did
        self.name = settings.name
        self._settings = settings
        self._engine = engine
        self._peers = peers
        self._clock = clock = asyncio.get_running_loop().time
        self._ways: dict[str, Way] = {}
        self._watched: set[Way] = set()
        self._routes: Routes | None = None
        self._weights: dict[Edge, float] = {}
        self._admitted = asyncio.Event()
        self.changed = asyncio.Event()
        self._crew = engine.crew()
        self.junction = Junction(engine.mail, self, engine.note_refused)
        self.membership = Membership(
            topology, us, gone_seconds=settings.gone_seconds, absent_seconds=settings.absent_seconds, now=clock()
        )
        self.forwarder = Forwarder(
            us,
            members=lambda: self.membership.everybody,
            routes=self._present_routes,
            neighbours=self.junction.neighbours,
            deliver=self._take_own,
        )
        self._sending = Sending(
            engine.link.services.voice.key,
            settings.ttl,
            Pace(settings.patience_seconds),
            self.forwarder.send,
            clock,
            self._watched.add,
        )
        self.edges = Edges(
            us,
            connect=lambda did: peers.connect(did, CONNECT_SECONDS),
            close=self._close_channel,
            is_open=self.junction.neighbours.__contains__,
            crew=self._crew,
            at_once=settings.at_once,
        )
        self._tuner = Tuner(us, self.membership, settings.rules, measure=self._measure, say=self.say)

    def start(self) -> None:
        """Begin to open channels and to hand on."""
        metrics.standings.members.add(self)
        self._peers.local.mail = self.junction
        for relation in self._peers.relations.values():
            if relation.current is not None:
                self.junction.attach(relation.current)
        self.edges.want(self.membership.topology.neighbours(self.us))
        self._crew.start(self._follow(), "mesh-presence")
        self._crew.start(self._look(), "mesh-look")
        if self._settings.tune_seconds:
            self._crew.start(self._tune(), "mesh-tune")

    def admit(self, did: str, shard: str | None) -> None:
        """
        Take in a new member, and tell our neighbours, who tell theirs.

        Raises:
            ImpossibleTopology: If a sharded mesh has no such shard.

        """
        if self.membership.admit(did, shard):
            self._change()
            self._tell_admitted(did, shard)

    async def close(self) -> None:
        """Hand on no more."""
        metrics.standings.members.discard(self)
        self._peers.local.mail = self._engine.mail
        for way in self._ways.values():
            way.leave()
        await self._crew.close()

    # What is counted

    @property
    def members_here(self) -> int:
        """Members who are not away."""
        return len(self.membership.everybody - self.membership.gone)

    @property
    def channels_wanted(self) -> int:
        """Channels that the topology wants of us."""
        return len(self.edges.wanted)

    @property
    def channels_open(self) -> int:
        """Channels with those who hand on."""
        return len(self.junction.neighbours)

    # What the junction tells

    def is_member(self, did: str) -> bool:
        """Whether an agent is one of us."""
        return did in self.membership.everybody

    def note_open(self, did: str) -> None:
        """There is a channel with a member."""
        self._settle(did)

    def note_met(self, did: str) -> None:
        """A neighbour hands on."""
        self.edges.note(did)
        for new, shard in self.membership.admitted.items():
            self.say(did, Admit(new, shard))
        if len(self.junction.neighbours) == 1:
            self._settle_all()

    def note_shut(self, did: str) -> None:
        """The channel with a member is silent or over."""
        self.edges.note(did)
        self._settle(did)
        if not self.junction.neighbours:
            self._settle_all()

    def take_hop(self, hop: Hop) -> None:
        """A neighbour has handed us a frame."""
        self.forwarder.take(hop)

    def take_word(self, did: str, word: Word) -> None:
        """A member said something about the mesh."""
        match word:
            case Costs() | Exchanges():
                if self._tuner.hear(did, word):
                    self._change()
            case Admit(did=new, shard=shard):
                self._admit_if_possible(new, shard)

    def say(self, did: str, word: Word) -> None:
        """Say a word to a member, over others if need be."""
        pipe = self.junction.neighbours.get(did)
        if pipe is not None:
            self.junction.say(pipe, word)
        elif self.membership.is_here(did):
            self._way(did).say(write_word(word))

    # Inside

    def _present_routes(self) -> Routes:
        if self._routes is None:
            self._routes = routes(self.membership.topology, self.us, self._weights, hops_max=self._settings.ttl)
        return self._routes

    def _way(self, did: str) -> Way:
        if did not in self._ways:
            self._ways[did] = Way(did, self._engine.mail, self._sending, self._hear_from_afar)
        return self._ways[did]

    def _settle(self, did: str) -> None:
        """Have mail go over others to a member who is here, where there is no channel and somebody to hand it on."""
        is_near = did in self.junction.channels or not self.junction.neighbours
        if not is_near and self.membership.is_here(did):
            self._way(did).use()
        elif did in self._ways:
            self._ways[did].leave()

    def _settle_all(self) -> None:
        for did in self.membership.everybody - {self.us}:
            self._settle(did)

    def _take_own(self, hop: Hop) -> None:
        self._way(hop.sender).take(hop)

    def _hear_from_afar(self, did: str, text: str) -> None:
        try:
            word = read_word(text)
        except EnvelopeError as error:
            self._engine.note_refused(did, error)
            return
        self.take_word(did, word)

    def _admit_if_possible(self, did: str, shard: str | None) -> None:
        try:
            if self.membership.note_admitted(did, shard):
                self._tell_admitted(did, shard)
        except ImpossibleTopology:
            # Whoever admits to a shard that we do not know speaks of another mesh.
            return

    def _tell_admitted(self, did: str, shard: str | None) -> None:
        self._admitted.set()
        for neighbour in tuple(self.junction.neighbours):
            self.say(neighbour, Admit(did, shard))

    def _change(self) -> None:
        """The topology is another one."""
        metrics.note_change()
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        self._routes = None
        self.edges.want(self.membership.topology.neighbours(self.us))
        self._settle_all()

    def _measure(self) -> dict[str, float]:
        """What our edges cost, in seconds; whoever is dear is handed frames by a way around, too."""
        found = {}
        for did, pipe in self.junction.neighbours.items():
            relation = self._peers.relations.get(did)
            if relation is not None and relation.rtt_seconds:
                loss = relation.monitor.quality.loss or 0.0
                load = min(pipe.buffered_amount / BUFFER_BYTES, 1.0)
                found[did] = cost(Quality(rtt_seconds=relation.rtt_seconds, loss=loss, load=load))
        self._weights = weights(self.us, found, self._settings.rules.bad_factor)
        self._routes = None
        return found

    async def _close_channel(self, did: str) -> None:
        relation = self._peers.relations.get(did)
        if relation is not None:
            await relation.close("the mesh does not want it")

    async def _follow(self) -> None:
        """Follow who comes and goes, whatever happens to the platform meanwhile."""
        while True:
            self._admitted.clear()
            following = asyncio.ensure_future(self._follow_once(self.membership.everybody - {self.us}))
            admitted = asyncio.ensure_future(self._admitted.wait())
            try:
                await asyncio.wait({following, admitted}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                following.cancel()
                admitted.cancel()
                await asyncio.wait({following, admitted})
            if not following.cancelled():
                following.result()
                await asyncio.sleep(WATCH_AGAIN_SECONDS)

    async def _follow_once(self, dids: Collection[str]) -> None:
        now = asyncio.get_running_loop().time
        try:
            async for presence in self._engine.attention.watch(dids):
                if presence.did in self.membership.everybody and presence.did != self.us:
                    self.membership.note_presence(presence.did, online=presence.online, now=now())
                    self._settle(presence.did)
        except AiconexusError:
            # Asked again soon; who is connected to us says enough until then.
            return

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.membership.look(now()):
                self._change()
            self._watched.difference_update([way for way in tuple(self._watched) if not way.look()])

    async def _tune(self) -> None:
        while True:
            await asyncio.sleep(self._settings.tune_seconds)
            if self._tuner.tell():
                self._change()
