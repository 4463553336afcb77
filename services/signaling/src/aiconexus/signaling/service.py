"""The signaling service, put together: the only place that knows all of its parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import SettingsError
from aiconexus.protocol.records import PRESENCE, REGISTRY, PresenceRecord, Record, RegistryRecord
from aiconexus.protocol.signal_bodies import Incident, ListServers
from aiconexus.runtime.answers import Answers, counters_of
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.roster import Roster
from aiconexus.signaling.breaker import Pace
from aiconexus.signaling.forward import Forwarder
from aiconexus.signaling.gate import Gate
from aiconexus.signaling.incidents import Incidents
from aiconexus.signaling.listing import Listing
from aiconexus.signaling.probe import Prober
from aiconexus.signaling.settings import SignalingSettings
from aiconexus.signaling.watch import Watch

ANSWERED = counters_of("signaling")

R = TypeVar("R", bound=Record)


@asynccontextmanager
async def serve(context: Context[SignalingSettings]) -> AsyncIterator[None]:
    """Introduce agents to each other for as long as the context is entered."""
    signaling = _Signaling(context)
    # Whoever asks first is told of what works, and not that nothing is known yet.
    await signaling.watch.look()
    async with asyncio.TaskGroup() as tasks:
        await signaling.listen()
        running = [tasks.create_task(work) for work in signaling.work()]
        async with signaling.desk:
            yield
        await signaling.settle()
        for task in running:
            task.cancel()


class _Signaling:
    def __init__(self, context: Context[SignalingSettings]) -> None:
        settings = context.settings
        self._context = context
        self._answers = Answers(context.session, context.voice, Refusals(context.service, context.log), ANSWERED)
        registry = self._roster(REGISTRY, RegistryRecord)
        self._forwarder = Forwarder(
            context.session,
            self._answers,
            registry,
            self._roster(PRESENCE, PresenceRecord),
            Budgets(settings.sender_rate_per_second, settings.sender_burst, settings.senders_max),
            monotonic=time.monotonic,
            now_ms=now_ms,
        )
        self.watch = Watch(
            settings.addresses,
            settings.secrets,
            user=f"probe-{context.instance}",
            probe=_prober(settings).probe,
            pace=_pace(settings),
            log=context.log,
        )
        questions = Budgets(settings.question_rate_per_second, settings.question_burst, settings.senders_max)
        listing = Listing(
            self.watch,
            settings.secrets,
            Gate(registry, questions, time.monotonic),
            login_seconds=settings.turn_login_seconds,
            now_ms=now_ms,
        )
        reports = Budgets(settings.incident_rate_per_second, settings.incident_burst, settings.senders_max)
        incidents = Incidents(Gate(registry, reports, time.monotonic), context.log, now_ms)
        self.desk = Desk(context)
        self.desk.raw("forward", self._forwarder.forward, paces=True)
        self.desk.on(ListServers, listing.list_servers)
        self.desk.on(Incident, incidents.incident)
        context.health.add_check("turn", self.watch.check)

    async def listen(self) -> None:
        """Hear who comes and goes: an offer to somebody who has just left is refused at once, too."""
        await self._context.session.subscribe(subjects.all_presence(), self._forwarder.note_presence, direct=True)

    def work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What runs beside the desk."""
        return self._answers.run(), self.watch.run()

    async def settle(self) -> None:
        """Answer everything that was taken in."""
        await self._forwarder.settle()
        await self._answers.flush()

    def _roster(self, bucket: str, record: type[R]) -> Roster[R]:
        settings = self._context.settings
        return Roster(
            Bucket(self._context.session, bucket),
            record,
            settings.registry_cache_seconds,
            settings.senders_max,
            time.monotonic,
        )


def _prober(settings: SignalingSettings) -> Prober:
    try:
        hosts = dict(pair.split("=", 1) for pair in settings.probe_hosts)
        return Prober(settings.probe_deadline_seconds, settings.turn_authorities_file, hosts)
    except OSError as error:
        raise SettingsError([f"AICONEXUS_SIGNALING_TURN_AUTHORITIES_FILE: {error}"]) from error


def _pace(settings: SignalingSettings) -> Pace:
    return Pace(
        every=settings.probe_seconds,
        again=settings.probe_again_seconds,
        failures_max=settings.probe_failures_max,
        rest=settings.breaker_seconds,
        rest_max=settings.breaker_max_seconds,
    )
