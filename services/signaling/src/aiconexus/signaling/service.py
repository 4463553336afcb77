"""The signaling service, put together: the only place that knows all of its parts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.protocol.records import PRESENCE, REGISTRY, PresenceRecord, Record, RegistryRecord
from aiconexus.runtime.answers import Answers, counters_of
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.roster import Roster
from aiconexus.signaling.forward import Forwarder
from aiconexus.signaling.settings import SignalingSettings

ANSWERED = counters_of("signaling")

R = TypeVar("R", bound=Record)


@asynccontextmanager
async def serve(context: Context[SignalingSettings]) -> AsyncIterator[None]:
    """Introduce agents to each other for as long as the context is entered."""
    signaling = _Signaling(context)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(signaling.answers.run())
        async with signaling.desk:
            yield
        await signaling.settle()
        running.cancel()


class _Signaling:
    def __init__(self, context: Context[SignalingSettings]) -> None:
        settings = context.settings
        self._context = context
        self.answers = Answers(context.session, context.voice, Refusals(context.service, context.log), ANSWERED)
        self._forwarder = Forwarder(
            context.session,
            self.answers,
            self._roster(REGISTRY, RegistryRecord),
            self._roster(PRESENCE, PresenceRecord),
            Budgets(settings.sender_rate_per_second, settings.sender_burst, settings.senders_max),
            monotonic=time.monotonic,
            now_ms=now_ms,
        )
        self.desk = Desk(context)
        self.desk.raw("forward", self._forwarder.forward)

    async def settle(self) -> None:
        """Answer everything that was taken in."""
        await self._forwarder.settle()
        await self.answers.flush()

    def _roster(self, bucket: str, record: type[R]) -> Roster[R]:
        settings = self._context.settings
        return Roster(
            Bucket(self._context.session, bucket),
            record,
            settings.registry_cache_seconds,
            settings.senders_max,
            time.monotonic,
        )
