"""
Tell identity of the sessions that begin and end here.

It learns of every end, though it may be away just then: until it answers, the end is told again.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress

from aiconexus.edge.connection import Connection
from aiconexus.edge.settings import EdgeSettings
from aiconexus.protocol.bodies import Error
from aiconexus.protocol.closing import REASONS, Close
from aiconexus.protocol.edge_bodies import Attach, Attached, Detach
from aiconexus.protocol.errors import AiconexusError, MalformedEnvelope, RemoteProblem
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import peek, read_body, split
from aiconexus.runtime.ask import ask
from aiconexus.runtime.context import Context

AT_ONCE = 32
RETRY_SECONDS = 1.0
FAREWELLS_MAX = 65_536
REASON_CHARACTERS = 256


async def attach(context: Context[EdgeSettings], connection: Connection) -> tuple[bytes, Error | None]:
    """
    Have identity make this the one live session of its agent.

    Returns:
        Identity's answer to the agent, and the problem in it, if it is one.

    Raises:
        AiconexusError: If identity does not answer, or not acceptably.

    """
    connection.is_attached = True
    question = Attach(session=connection.session, edge=context.instance, register=connection.registration)
    letter = await ask(context, "identity", "attach", question)
    attached = letter.body
    if not isinstance(attached, Attached):
        raise MalformedEnvelope("identity did not answer ATTACHED")
    sealed = split(attached.answer, REPLY_MAX_BYTES)
    answer = peek(sealed)
    body = read_body(answer, sealed.codec)
    return attached.answer, body if isinstance(body, Error) else None


class Farewells:
    """
    Sessions that have ended and of which identity does not know that yet.

    Args:
        context: Of the service.

    """

    def __init__(self, context: Context[EdgeSettings]) -> None:
        self._context = context
        self._waiting: OrderedDict[str, Detach] = OrderedDict()
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: Connection) -> None:
        """Tell identity that this session is over, as soon as it can be told."""
        code, reason = connection.ending or (Close.NORMAL, REASONS[Close.NORMAL])
        self._add(self._detach(connection, f"{code} {reason}".strip()))

    async def tell_now(self, connection: Connection, reason: str | None) -> None:
        """Tell identity that this session is over, and wait until it knows; if it is away, it is told later."""
        detach = self._detach(connection, reason)
        connection.is_attached = False
        if not await self._tell(detach):
            self._add(detach)

    def _detach(self, connection: Connection, reason: str | None) -> Detach:
        return Detach(
            did=connection.did,
            session=connection.session,
            edge=self._context.instance,
            reason=reason and "".join(filter(str.isprintable, reason))[:REASON_CHARACTERS],
        )

    def _add(self, detach: Detach) -> None:
        self._waiting[detach.session] = detach
        if len(self._waiting) > FAREWELLS_MAX:
            self._waiting.popitem(last=False)
        self._none.clear()
        self._some.set()

    async def tell(self) -> None:
        """Tell identity whatever it does not know yet, for ever."""
        while True:
            await self._some.wait()
            batch = list(self._waiting.values())[:AT_ONCE]
            told = await asyncio.gather(*(self._tell(detach) for detach in batch))
            if not self._waiting:
                self._some.clear()
                self._none.set()
            elif not any(told):
                await asyncio.sleep(RETRY_SECONDS)

    async def drain(self, wait_seconds: float) -> None:
        """Wait until identity knows everything, but not longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await self._none.wait()

    async def _tell(self, detach: Detach) -> bool:
        try:
            await ask(self._context, "identity", "detach", detach)
        except RemoteProblem as problem:
            if problem.retryable:
                return False
        except AiconexusError:
            return False
        self._waiting.pop(detach.session, None)
        return True
