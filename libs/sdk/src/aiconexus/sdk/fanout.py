"""Say one thing to many, and report to whom it went and to whom it did not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import msgspec

from aiconexus.protocol.delivery_errors import NoHolder
from aiconexus.protocol.errors import AiconexusError, RemoteProblem
from aiconexus.sdk.delivery import Sent
from aiconexus.sdk.engine import Engine

AT_ONCE = 64
LIMIT = 10_000
STORED_SECONDS = 30.0


class Report(msgspec.Struct, frozen=True):
    """
    What became of an envelope to many: stored for these, not for those, and why not.

    ``is_cut_short`` says that there were more recipients, beyond the limit or because they could not be listed any
    further: ``trouble`` says why.
    """

    stored: dict[str, Sent]
    failed: dict[str, AiconexusError]
    is_cut_short: bool = False
    trouble: AiconexusError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether everybody gets it."""
        return not self.failed and not self.is_cut_short

    def __str__(self) -> str:
        return (
            f"stored for {len(self.stored)}, not for {len(self.failed)}{' of the first' if self.is_cut_short else ''}"
        )


class Fanout:
    """
    The circulars of an agent.

    Args:
        engine: The agent's, once it runs.
        send: ``Agent.send``.

    """

    def __init__(self, engine: Callable[[], Engine], send: Callable[..., Any]) -> None:
        self._engine = engine
        self._send = send

    async def send_many(
        self,
        dids: Iterable[str],
        content: Any,
        *,
        timeout: float | None = STORED_SECONDS,  # noqa: ASYNC109
        **fields: Any,
    ) -> Report:
        """
        Send a MESSAGE to several agents, not too many at a time.

        One that cannot be stored does not keep it from the others.

        Args:
            dids: To whom; each gets it once.
            content: As for ``send``.
            timeout: Seconds for each until it is stored.
            fields: As for ``post``.

        """
        return await self._spread(_each(dict.fromkeys(dids)), content, timeout, fields)

    async def send_to(
        self,
        capability: str,
        content: Any,
        *,
        timeout: float | None = STORED_SECONDS,  # noqa: ASYNC109
        **fields: Any,
    ) -> Sent:
        """
        Send a MESSAGE to one of those who are here and have a capability; to another one if it is refused.

        Raises:
            NoHolder: If nobody has it.
            RemoteProblem: If the last one refused.
            NotAcknowledged: If it was not stored in time.

        """
        holders = self._engine().holders
        tried: list[str] = []
        last: RemoteProblem | None = None
        while True:
            try:
                did = await holders.choose(capability, tried)
            except NoHolder as error:
                raise last or error from None
            try:
                with holders.busy(did):
                    sent: Sent = await self._send(did, content, timeout=timeout, **fields)
            except RemoteProblem as error:
                last = error
                tried.append(did)
            else:
                return sent

    async def broadcast(
        self,
        content: Any,
        *,
        capability: str | None = None,
        online: bool | None = True,
        limit: int = LIMIT,
        timeout: float | None = STORED_SECONDS,  # noqa: ASYNC109
        **fields: Any,
    ) -> Report:
        """
        Send a MESSAGE to all agents that fit, page by page and no faster than they are stored.

        Args:
            content: As for ``send``.
            capability: Only to those who have it.
            online: Only to those who are here; None sends to the others, too.
            limit: To so many at most.
            timeout: Seconds for each until it is stored.
            fields: As for ``post``.

        Raises:
            RemoteProblem: If nobody may be listed.
            BusError: If the platform does not say who is there.

        """
        return await self._spread(self._fitting(capability, online=online), content, timeout, fields, limit)

    async def _fitting(self, capability: str | None, *, online: bool | None) -> AsyncIterator[str]:
        engine = self._engine()
        async for card in engine.discovery.discover(capability=capability, online=online):
            if card.did != engine.link.services.voice.did and not card.revoked:
                yield card.did

    async def _spread(
        self,
        dids: AsyncIterator[str],
        content: Any,
        timeout_seconds: float | None,
        fields: dict[str, Any],
        limit: int | None = None,
    ) -> Report:
        async def say(did: str) -> Sent:
            sent: Sent = await self._send(did, content, timeout=timeout_seconds, **fields)
            return sent

        return await spread(dids, say, limit)


async def spread(dids: AsyncIterator[str], say: Callable[[str], Awaitable[Sent]], limit: int | None = None) -> Report:
    """
    Say something to each, not to too many at a time.

    Args:
        dids: To whom.
        say: Returns once it is stored.
        limit: To so many at most.

    Raises:
        AiconexusError: If not even the first recipients could be named.
        TypeError: If the content is nothing that can be said; likewise ValueError and OverflowError.

    """
    stored: dict[str, Sent] = {}
    failed: dict[str, AiconexusError] = {}
    defects: list[Exception] = []
    room = asyncio.Semaphore(AT_ONCE)
    count, is_cut_short, trouble = 0, False, None

    async def one(did: str) -> None:
        try:
            stored[did] = await say(did)
        except AiconexusError as error:
            failed[did] = error
        except (TypeError, ValueError, OverflowError) as error:
            # Out of the group it would come wrapped; and in Python 3.11 that spoils the time-outs of who waits for it.
            defects.append(error)
        finally:
            room.release()

    async with asyncio.TaskGroup() as tasks:
        try:
            async for did in dids:
                if defects:
                    break
                if limit is not None and count >= limit:
                    is_cut_short = True
                    break
                await room.acquire()
                count += 1
                tasks.create_task(one(did), name=f"send-{did}")
        except AiconexusError as error:
            # What is on its way arrives, and its sender has to know to whom.
            trouble = error
    if defects:
        raise defects[0]
    if trouble is not None and not count:
        raise trouble
    return Report(stored, failed, is_cut_short or trouble is not None, trouble)


async def _each(dids: Iterable[str]) -> AsyncIterator[str]:
    for did in dids:
        yield did
