"""The end of a connection that another has replaced: what it carries arrives, both sides say so, then its keys die."""

import asyncio
from typing import TYPE_CHECKING

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.frames import Leaving, write_word
from aiconexus.sdk.direct import stack
from aiconexus.sdk.direct.connection import Connection
from aiconexus.sdk.direct.local import Local
from aiconexus.sdk.direct.waiting import Waiting

if TYPE_CHECKING:
    from aiconexus.sdk.direct.relation import Relation

DRAIN_SECONDS = 3.0
"""How long a replaced connection may take to deliver what it carries."""
LEAVE_SECONDS = 2.0
"""How long it then waits for the other side to have done the same."""
FLUSH_SECONDS = 0.5
NAP_SECONDS = 0.01
REPLACED = "replaced"
EARLY_MAX = 4


class Retiring:
    """
    The replaced connections of one peer.

    Args:
        local: Our side.
        relation: Whose.

    """

    def __init__(self, local: Local, relation: "Relation") -> None:
        self._local = local
        self._relation = relation
        self._left: dict[str, asyncio.Event] = {}
        self._early: list[str] = []
        self._open: set[str] = set()
        self._closed = Waiting()

    def note_left(self, session: str) -> None:
        """The other side is done with a connection; it may be quicker than we are."""
        if (event := self._left.get(session)) is not None:
            event.set()
        else:
            self._early = [*self._early[1 - EARLY_MAX :], session]

    async def wait_closed(self, session: str | None) -> None:
        """Wait until a replaced connection is closed."""
        while session in self._open:
            await self._closed.wait()

    def begin(self, connection: Connection) -> None:
        """Note that a connection is on its way out."""
        self._open.add(connection.session)
        event = self._left[connection.session] = asyncio.Event()
        if connection.session in self._early:
            event.set()

    async def run(self, connection: Connection) -> None:
        """Let a connection run dry."""
        if connection.is_open:
            await self._drain(connection.session)
            self._say_leaving(connection)
            await self._wait_left(connection.session)
            await flush(connection)

    def end(self, connection: Connection) -> None:
        """Have it closed, however far it has come: a task that is cut off before its first step does nothing."""
        del self._left[connection.session]
        self._relation.detach(connection)
        self._local.graves.start(self._close(connection), f"retired-{connection.session}")

    async def _drain(self, session: str) -> None:
        if self._local.mail is not None:
            await self._local.mail.drained(self._relation.did, session, DRAIN_SECONDS)
        await self._relation.channels.drained(session, DRAIN_SECONDS)

    def _say_leaving(self, connection: Connection) -> None:
        try:
            connection.send(write_word(Leaving(REPLACED)))
        except ChannelClosed:
            # It was closed while it ran dry.
            return

    async def _wait_left(self, session: str) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._left[session].wait()
        except TimeoutError:
            return

    async def _close(self, connection: Connection) -> None:
        try:
            await connection.close()
        finally:
            self._open.discard(connection.session)
            self._closed.wake()


async def flush(connection: Connection) -> None:
    """Wait, not too long, until the last word has left us and was acknowledged."""
    loop = asyncio.get_running_loop()
    end = loop.time() + FLUSH_SECONDS
    # The stack has no event for this.
    while stack.outstanding(connection.pc) and connection.is_open and loop.time() < end:  # noqa: ASYNC110
        await asyncio.sleep(NAP_SECONDS)
