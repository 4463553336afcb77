"""Calls as an application makes them: of one agent, or of whoever can do it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from aiconexus.protocol.bodies import Body, ExecRequest, Intent
from aiconexus.protocol.call_bodies import Chunk, Progress
from aiconexus.protocol.delivery_errors import NoHolder, NotAcknowledged
from aiconexus.protocol.errors import AgentOffline, MalformedEnvelope, RemoteProblem
from aiconexus.protocol.policy import SECONDS_MAX
from aiconexus.sdk.asking import Terms
from aiconexus.sdk.calls import Heard, result_of
from aiconexus.sdk.crew import cut_off
from aiconexus.sdk.delivery import Delivery
from aiconexus.sdk.engine import Engine
from aiconexus.sdk.holders import never_ran
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.reading import Reading

ANSWER_SECONDS = 30.0
CEILING_SECONDS = 600.0
SILENT_SECONDS = 3.0
"""When a holder that has not even taken the request is looked after."""

OnProgress = Callable[[Progress], Any]


class Calling:
    """
    The calls of an agent.

    Args:
        engine: The agent's, once it runs.
        notices: Calls the application's callbacks.

    """

    def __init__(self, engine: Callable[[], Engine], notices: Notices) -> None:
        self._engine = engine
        self._notices = notices

    async def request(
        self,
        did: str,
        body: Body,
        *,
        timeout: float = ANSWER_SECONDS,  # noqa: ASYNC109
        ceiling: float | None = None,
        id_: str | None = None,
        on_progress: OnProgress | None = None,
        **fields: Any,
    ) -> Delivery:
        """
        Send a body and await what its recipient says in reply.

        Args:
            did: To whom.
            body: What.
            timeout: Seconds without a sign of life; each PROGRESS of the callee gives as many again.
            ceiling: Seconds in all; ten minutes by default, and never less than ``timeout``.
            id_: An id of your own: whoever asks the same again under it, also after a crash and for a day, gets the
                first answer. Without it nobody can ask again, and who gives up cancels the request.
            on_progress: Told what the callee says of its progress; plain or ``async``.
            fields: As for ``post``.

        Raises:
            RemoteProblem: If the answer is an ERROR, or the request died.
            NotAcknowledged: If no answer came in time.
            ConflictingEnvelope: If something else was asked under ``id_``.
            ValueError: If a time is none, or no envelope can have the id.

        """
        terms = _terms(timeout, ceiling, id_)
        return await self._engine().asking.ask(did, body, terms, self._heard(on_progress), **fields)

    async def call(
        self,
        did: str | None = None,
        *,
        capability: str | None = None,
        args: dict[str, Any] | None = None,
        timeout: float = ANSWER_SECONDS,  # noqa: ASYNC109
        ceiling: float | None = None,
        id_: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """
        Have another agent execute a capability, and await the result.

        Without a DID one of those who are here and can do it is asked, and another one if it cannot begin.

        Args:
            did: Whom.
            capability: What.
            args: With which arguments.
            timeout: As for ``request``, and so are the others.
            ceiling: Likewise.
            id_: Likewise.
            on_progress: Likewise.

        Raises:
            RemoteProblem: If it failed, was refused or died; ``error.problem`` says which.
            NotAcknowledged: If no answer came in time.
            NoHolder: If nobody is here who can do it.

        """
        question = ExecRequest(capability=capability, args=args or {})
        return result_of(await self._answer(did, capability, question, _terms(timeout, ceiling, id_), on_progress))

    async def ask(
        self,
        did: str | None = None,
        query: str | None = None,
        *,
        capability: str | None = None,
        timeout: float = ANSWER_SECONDS,  # noqa: ASYNC109
        ceiling: float | None = None,
        id_: str | None = None,
        on_progress: OnProgress | None = None,
        **wish: Any,
    ) -> Intent:
        """
        Put an INTENT and await the reply, with its ``status``, ``result``, ``cost`` and ``required_input``.

        Say a ``query`` with ``context``, or a ``task`` with ``params``; the other arguments are those of ``call``.

        Raises:
            RemoteProblem: If the handler failed, or the wish was refused or died.
            NotAcknowledged: If no reply came in time.
            NoHolder: If nobody is here who has the capability.
            MalformedEnvelope: If the reply is no INTENT.

        """
        question = Intent(query=query, **wish)
        answer = await self._answer(did, capability, question, _terms(timeout, ceiling, id_), on_progress)
        if not isinstance(answer.body, Intent):
            raise MalformedEnvelope(f"a {answer.type} is no reply to an INTENT")
        return answer.body

    async def stream(
        self,
        did: str | None = None,
        *,
        capability: str | None = None,
        args: dict[str, Any] | None = None,
        timeout: float = ANSWER_SECONDS,  # noqa: ASYNC109
        ceiling: float | None = None,
        id_: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> AsyncGenerator[Any, None]:
        """
        Have another agent execute a capability, and get the parts of the result as they come.

        Each part comes once and in order, over lost connections of both sides. The callee is never far ahead of the
        loop over the parts; leaving the loop cancels it. With ``id_`` another process can go on where this one died: at
        the part that it had not done with. The arguments are those of ``call``.

        Raises:
            RemoteProblem: If it failed, after the parts that were sent before.
            StreamGap: If parts are lost for good.
            NotAcknowledged: If nothing came for ``timeout`` seconds.
            NoHolder: If nobody is here who can do it.

        """
        question = ExecRequest(capability=capability, args=args or {}, stream=True)
        terms = _terms(timeout, ceiling, id_)
        tried: list[str] = []
        last: RemoteProblem | None = None
        while True:
            callee = did or await self._next(terms, _named(capability), tried, last)
            reading = Reading(self._engine().asking, question, terms, self._heard(on_progress))
            is_begun = False
            try:
                with self._engine().holders.busy(callee):
                    async with contextlib.aclosing(reading.run(callee)) as parts:
                        async for part in parts:
                            is_begun = True
                            yield part
            except RemoteProblem as error:
                if did is not None or is_begun or not never_ran(error, callee):
                    raise
                last = error
                tried.append(callee)
            else:
                return

    async def cancel(self, id_: str, reason: str | None = None) -> None:
        """Tell the callee of a request that has an ``id_`` of your own that nobody wants its answer any more."""
        self._engine().asking.cancel(id_, reason)

    async def _answer(
        self, did: str | None, capability: str | None, body: Body, terms: Terms, on_progress: OnProgress | None
    ) -> Delivery:
        if did is not None:
            return await self._engine().asking.ask(did, body, terms, self._heard(on_progress))
        return await self._somebody(_named(capability), body, terms, on_progress)

    async def _somebody(self, capability: str, body: Body, terms: Terms, on_progress: OnProgress | None) -> Delivery:
        """Ask one after the other until one begins."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + terms.timeout
        tried: list[str] = []
        last: Exception | None = None
        while (left := ends - loop.time()) > 0:
            callee = await self._next(terms, capability, tried, last)
            try:
                with self._engine().holders.busy(callee):
                    return await self._try(callee, body, terms.within(left), on_progress)
            except RemoteProblem as error:
                if not never_ran(error, callee):
                    raise
                last = error
            except AgentOffline as error:
                last = error
            tried.append(callee)
        raise last or NotAcknowledged(terms.name or capability, terms.timeout)

    async def _try(self, callee: str, body: Body, terms: Terms, on_progress: OnProgress | None) -> Delivery:
        """
        Ask one of several.

        Raises:
            AgentOffline: If it has not taken the request, and is not here any more.

        """
        engine = self._engine()
        is_taken = False
        tell = self._heard(on_progress)

        def hear(said: Progress | Chunk | None) -> None:
            nonlocal is_taken
            is_taken = True
            tell(said)

        answer = asyncio.create_task(engine.asking.ask(callee, body, terms, hear), name=f"ask-{callee}")
        try:
            while not (await asyncio.wait({answer}, timeout=SILENT_SECONDS))[0] and not is_taken:
                if not await engine.holders.is_here(callee):
                    if terms.name is not None:
                        engine.asking.cancel(terms.name)
                    raise AgentOffline(callee)
            return await answer
        finally:
            await cut_off({answer})

    async def _next(self, terms: Terms, capability: str, tried: list[str], last: Exception | None) -> str:
        """
        Who is asked: whoever was asked before under the same name, or somebody who is here and was not tried.

        Raises:
            Exception: What the last one said, or that there is nobody.

        """
        asking, holders = self._engine().asking, self._engine().holders
        known = None if terms.name is None else asking.rows.find(terms.name)
        if known is not None and terms.name is not None:
            if known.callee and known.callee not in tried:
                return known.callee
            asking.move(terms.name)
        try:
            return await holders.choose(capability, tried)
        except NoHolder as error:
            raise last or error from None

    def _heard(self, on_progress: OnProgress | None) -> Heard:
        def hear(said: Progress | Chunk | None) -> None:
            if on_progress is not None and isinstance(said, Progress):
                # What it raises is the application's, and must not reach the mailbox that is being read.
                self._notices.tell_one(on_progress, said)

        return hear


def _terms(timeout: float, ceiling: float | None, id_: str | None) -> Terms:
    longest = max(CEILING_SECONDS, timeout) if ceiling is None else ceiling
    for name, seconds in (("timeout", timeout), ("ceiling", longest)):
        if not 0 < seconds <= SECONDS_MAX:
            raise ValueError(f"{name} is not between 0 and {SECONDS_MAX:g} seconds: {seconds}")
    return Terms(timeout=timeout, ceiling=longest, name=id_)


def _named(capability: str | None) -> str:
    if capability is None:
        raise ValueError("name an agent's DID or a capability, or both")
    return capability
