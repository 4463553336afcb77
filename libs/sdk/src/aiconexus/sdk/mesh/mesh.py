"""A mesh of agents: each has channels with some of the others, and they hand on what is for the rest."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.errors import Refused
from aiconexus.sdk.delivery import Sent
from aiconexus.sdk.engine import Engine
from aiconexus.sdk.fanout import Fanout, Report
from aiconexus.sdk.mesh.forwarding import Tally
from aiconexus.sdk.mesh.member import Member
from aiconexus.sdk.mesh.settings import MeshSettings
from aiconexus.sdk.topology import ImpossibleTopology, Topology


class MeshStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    How one member stands.

    Attributes:
        members: Who is part of the topology.
        gone: Members who are not, because they are away.
        wanted: With whom we should have a channel.
        open: With whom we have one, and who hands on.
        tally: What became of frames that came to us.
        exchanges: Rounds in which edges were exchanged.

    """

    members: tuple[str, ...]
    gone: frozenset[str]
    wanted: frozenset[str]
    open: frozenset[str]
    tally: Tally
    exchanges: int


class Mesh:
    """
    One member of a mesh; ``agent.mesh(topology)`` makes it. Use it as an asynchronous context manager.

    What the agent sends to members goes over others where there is no channel, and through the relay where nobody can
    hand it on. Nothing is lost, doubled or overtaken by that, as everything stays in the outbox until it is processed.

    Args:
        engine: The agent's, once it runs.
        topology: The same for all members.
        settings: The same for all members.

    Raises:
        ImpossibleTopology: If we are not in the topology; from ``start``.

    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        topology: Topology,
        settings: MeshSettings | None = None,
    ) -> None:
        self.settings = settings or MeshSettings()
        self._base = topology
        self._engine = engine
        self._member: Member | None = None

    @property
    def topology(self) -> Topology:
        """Who is connected to whom now, or about to be."""
        return self._base if self._member is None else self._member.membership.topology

    @property
    def status(self) -> MeshStatus:
        """How we stand."""
        member = self._open
        return MeshStatus(
            members=self.topology.members,
            gone=member.membership.gone,
            wanted=member.edges.wanted,
            open=frozenset(member.junction.neighbours),
            tally=msgspec.structs.replace(member.forwarder.tally),
            exchanges=member.membership.number,
        )

    async def start(self) -> None:
        """
        Begin to open channels and to hand on.

        Raises:
            ImpossibleTopology: If we are not in the topology.
            Refused: If the agent takes part in a mesh already.

        """
        engine = self._engine()
        us = engine.link.services.voice.did
        if us not in self._base.members:
            raise ImpossibleTopology(f"{us} is not in it")
        peers = await engine.door.peers()
        if peers.local.mail is not engine.mail:
            raise Refused("an agent is in one mesh at a time")
        self._member = Member(engine, peers, self._base, self.settings)
        self._member.start()

    async def wait_complete(self, timeout_seconds: float | None = None) -> None:
        """
        Wait until every channel is open that the topology wants of us.

        Raises:
            TimeoutError: If that is not so in time.

        """
        async with asyncio.timeout(timeout_seconds):
            await self._open.edges.wait_complete()

    async def wait_changed(self) -> Topology:
        """Wait for the next change of the topology, and return the new one."""
        await self._open.changed.wait()
        return self.topology

    async def broadcast(self, content: Any, **fields: Any) -> Report:
        """
        Send a MESSAGE to all members that are here.

        Args:
            content: As for ``Agent.send``.
            fields: As for ``Agent.send_many``.

        Returns:
            Who has it, and who has not and why.

        """
        others = [did for did in self.topology.members if did != self._open.us]
        return await Fanout(self._engine, self._send).send_many(others, content, **fields)

    def admit(self, did: str, *, shard: str | None = None) -> None:
        """
        Take in a new member, and tell the others; it joins with ``topology`` as it is afterwards.

        Raises:
            ImpossibleTopology: If a sharded mesh has no such shard.

        """
        self._open.admit(did, shard)

    async def close(self) -> None:
        """Hand on no more; channels stay until the agent closes."""
        if self._member is not None:
            await self._member.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, did: str, content: Any, *, timeout: float | None, **fields: Any) -> Sent:  # noqa: ASYNC109
        return await self._engine().outbox.put(did, Message(content=content), **fields).wait_stored(timeout)

    @property
    def _open(self) -> Member:
        if self._member is None:
            raise Refused("the mesh was not started: use `async with agent.mesh(topology)`")
        return self._member
