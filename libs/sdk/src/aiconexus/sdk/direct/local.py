"""What all direct connections of one agent share: its name, its ways to speak, its rules."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from aiconexus.protocol.bodies import Body
from aiconexus.protocol.seal import Codec
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.direct.incidents import Incidents
from aiconexus.sdk.direct.offers import Budget
from aiconexus.sdk.direct.seam import Mail, Pipe
from aiconexus.sdk.direct.servers import Servers
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.voice import Voice

if TYPE_CHECKING:
    from aiconexus.sdk.direct.connection import Connection


class Signal(Protocol):
    """``Live.signal``: hand a live body to an agent that is connected now."""

    async def __call__(self, did: str, body: Body, *, in_reply_to: str | None = None) -> str:
        """
        Send it.

        Raises:
            RemoteProblem: If the agent is not there or refuses.
            BusError: If no answer came.

        """


Taker = Callable[[Pipe, bytes | str], bool]


class Local:
    """
    Our side of every connection.

    Args:
        settings: The rules.
        voice: Signs.
        signal: Reaches agents through the platform.
        codec_for: Says what an agent can read.
        servers: STUN and TURN.
        incidents: Keeps what operators should know.
        crew: Background work.
        graves: Background work that is waited for: what is left of connections.
        tell: Calls a callback of the application with a fact.
        on_defect: Told of what must not happen.

    """

    def __init__(
        self,
        settings: Direct,
        voice: Voice,
        *,
        signal: Signal,
        codec_for: Callable[[str], Awaitable[Codec]],
        servers: Servers,
        incidents: Incidents,
        crew: Crew,
        graves: Crew,
        tell: Callable[[Callable[[Any], Any], Any], None],
        on_defect: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.voice = voice
        self.signal = signal
        self.codec_for = codec_for
        self.servers = servers
        self.incidents = incidents
        self.crew = crew
        self.graves = graves
        self.tell = tell
        self.on_defect = on_defect
        self.budget = Budget()
        """What agents may offer."""
        self.mail: Mail | None = None
        self.takers: list[Taker] = []
        """Who else may take frames of the system channel that are not mail, in turn."""
        self.connections: set[Connection] = set()
        """All that are not closed yet."""
        self.is_closed = False
        """Whether there are to be no more of them."""

    @property
    def did(self) -> str:
        """Our name."""
        return self.voice.did

    def bury(self, connection: "Connection") -> None:
        """Have a connection closed; nobody waits for it but the end of the agent."""
        self.graves.start(connection.close(), f"bury-{connection.session}")

    async def close_connections(self) -> None:
        """Close what is left, whoever has forgotten it."""
        while self.connections:
            await asyncio.gather(*(each.close() for each in self.connections))
