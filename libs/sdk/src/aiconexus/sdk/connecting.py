"""Direct connections as an application asks for them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk.engine import Engine
from aiconexus.sdk.incidentrows import Checked

if TYPE_CHECKING:
    from aiconexus.sdk.direct.peer import Peer
    from aiconexus.sdk.direct.rotation import Rotation
    from aiconexus.sdk.mesh import Mesh, MeshSettings
    from aiconexus.sdk.topology import Topology

CONNECT_SECONDS = 15.0


class Connecting:
    """
    The direct connections of an agent.

    Args:
        engine: The agent's, once it runs.

    """

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine

    async def connect_to(self, did: str, *, timeout: float = CONNECT_SECONDS) -> "Peer":  # noqa: ASYNC109
        """
        Have a direct connection with another agent; the present one, if there is one.

        Args:
            did: With whom.
            timeout: Seconds to wait.

        Raises:
            ConnectionFailed: If none came about in time; ``phase`` says how far it got. The relay may still work.
            HelloRefused: If whoever answered is not that agent.
            RemoteProblem: If the agent is not there, or refuses.

        """
        return await (await self._engine().door.peers()).connect(did, timeout)

    def all(self) -> "dict[str, Peer]":
        """Whom the agent is directly connected with, or about to be, by DID."""
        return self._engine().door.known

    def peer(self, did: str) -> "Peer | None":
        """One of them."""
        return self.all().get(did)

    async def rotate_keys(self, *, emergency: bool = False) -> "list[Rotation]":
        """
        Replace every direct connection by one with fresh keys, make before break.

        Args:
            emergency: The old keys may be known to others: what cannot be replaced is closed.

        Returns:
            What became of each peer.

        """
        return await (await self._engine().door.peers()).rotate(emergency=emergency)

    def incidents(
        self,
        *,
        event: str | None = None,
        peer: str | None = None,
        session: str | None = None,
        since_ms: int = 0,
        limit: int = 100,
    ) -> list[Incident]:
        """What happened on the direct path, the newest first; the journal keeps the last ten thousand."""
        return self._engine().door.rows.find(event, peer, since_ms, limit, session)

    def check_incidents(self) -> Checked:
        """Verify that nobody has changed, inserted or left out any of them: they are signed and chained."""
        return self._engine().door.rows.check()

    def mesh(self, topology: "Topology", settings: "MeshSettings | None" = None) -> "Mesh":
        """
        Take part in a mesh: ``async with agent.mesh(topology) as mesh``.

        Args:
            topology: Who is connected to whom; the same for all members.
            settings: The same for all members.

        """
        from aiconexus.sdk.mesh import Mesh  # noqa: PLC0415 - imports networkx

        return Mesh(self._engine, topology, settings)
