"""The relay, put together: the only place that knows all of its parts."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.bus.streams import Streams
from aiconexus.protocol.bodies import Ack, Fetch
from aiconexus.protocol.job_bodies import Look, Place, Return
from aiconexus.protocol.records import MAILBOX, PRESENCE, REGISTRY, RELAY, PresenceRecord, RegistryRecord
from aiconexus.relay.doubles import Doubles
from aiconexus.relay.handlers import Mailboxes
from aiconexus.relay.handover import Handover
from aiconexus.relay.lease import Lease
from aiconexus.relay.mailbox import stream_config
from aiconexus.relay.placing import Placer
from aiconexus.relay.reentry import Reentry
from aiconexus.relay.settings import RelaySettings
from aiconexus.relay.submit import Intake
from aiconexus.relay.sweeper import Sweeper
from aiconexus.runtime.answers import Answers, counters_of
from aiconexus.runtime.ask import ask
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.roster import Roster

ANSWERED = counters_of("relay")

GC_THRESHOLD = 50_000
"""Young objects before a collection: envelopes form no cycles, so looking for some is nearly always in vain."""

SWEEPER_KEY = "sweeper"

CANCEL_AGAIN_SECONDS = 0.1


@asynccontextmanager
async def serve(context: Context[RelaySettings]) -> AsyncIterator[None]:
    """Keep mailboxes for as long as the context is entered."""
    relay = _Relay(context)
    sweeper = await relay.prepare()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in (relay.answers.run(), relay.placer.run(), sweeper.run())]
        async with relay.desk:
            gc.collect()
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD, 50, 50)
            yield
        await relay.settle()
        await _end(running)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel more than once: in Python 3.11 ``asyncio.wait_for`` loses a cancellation that meets its result."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


class _Relay:
    def __init__(self, context: Context[RelaySettings]) -> None:
        settings = context.settings
        self._context = context
        self._streams = Streams(context.session)
        self.answers = Answers(context.session, context.voice, Refusals(context.service, context.log), ANSWERED)
        self.doubles = Doubles(
            self._streams,
            self.answers,
            budget_seconds=settings.publish_budget_seconds,
            waiting_max=settings.pending_max,
            mailbox_max=settings.mailbox_max_envelopes,
        )
        self.placer = Placer(
            context.session,
            self.answers,
            on_double=self.doubles.take,
            budget_seconds=settings.publish_budget_seconds,
            pending_max=settings.pending_max,
            pending_max_bytes=settings.pending_max_bytes,
            mailbox_max=settings.mailbox_max_envelopes,
            monotonic=time.monotonic,
        )
        registry = Roster(
            Bucket(context.session, REGISTRY),
            RegistryRecord,
            settings.registry_cache_seconds,
            settings.senders_max,
            time.monotonic,
        )
        budgets = Budgets(settings.sender_rate_per_second, settings.sender_burst, settings.senders_max)
        self._intake = Intake(self.placer, self.answers, registry, budgets, monotonic=time.monotonic, now_ms=now_ms)
        services = context.directory.services.values()
        self._reentry = Reentry(self._streams, registry, services, settings.mailbox_max_envelopes, now_ms)
        self.desk = Desk(context)
        self._lease: Lease | None = None

    async def prepare(self) -> Sweeper:
        """Bring the stream to what the settings say, and everything to its place."""
        settings, session = self._context.settings, self._context.session
        await self._streams.ensure(stream_config(settings))
        bucket = await Bucket.ensure(
            session, RELAY, ttl_seconds=settings.lease_seconds, memory=True, replicas=settings.stream_replicas
        )
        self._lease = Lease(bucket, SWEEPER_KEY, self._context.instance, settings.lease_seconds, time.monotonic)
        await self.placer.open()
        mailboxes = Mailboxes(self._streams)
        self.desk.raw("submit", self._intake.submit, paces=True)
        self.desk.on(Fetch, mailboxes.fetch)
        self.desk.on(Ack, mailboxes.ack)
        self.desk.on(Place, self._reentry.place, by=("retry",))
        self.desk.on(Look, self._reentry.look, by=("retry",))
        self._context.health.add_check("mailbox", self._check)
        return Sweeper(
            self._streams,
            self._lease,
            self._context.key,
            entries_max=settings.sweep_entries_max,
            sweep_seconds=settings.sweep_seconds,
            now_ms=now_ms,
            handover=self._handover() if settings.ack_wait_seconds else None,
        )

    def _handover(self) -> Handover:
        settings = self._context.settings
        presence = Roster(
            Bucket(self._context.session, PRESENCE),
            PresenceRecord,
            settings.registry_cache_seconds,
            settings.senders_max,
            time.monotonic,
        )

        async def give(question: Return) -> None:
            await ask(self._context, "retry", "return", question)

        return Handover(
            self._streams,
            presence,
            give,
            wait_seconds=settings.ack_wait_seconds,
            mailboxes_max=settings.sweep_entries_max,
            now_ms=now_ms,
        )

    async def settle(self) -> None:
        """Answer everything that was taken in, and let another replica sweep."""
        await self._intake.settle()
        await self.placer.settle()
        await self.doubles.settle()
        await self.answers.flush()
        if self._lease is not None:
            await self._lease.give_back()

    async def _check(self) -> None:
        await self._streams.info(MAILBOX)
