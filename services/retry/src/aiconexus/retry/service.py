"""The retry service, put together: the only place that knows all of its parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiconexus.bus.clock import now_ms
from aiconexus.bus.consumers import Puller, ensure_consumer
from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body
from aiconexus.protocol.job_bodies import DeadLetters, Drop, Jobs, Requeue, Return, Schedule, ShowJob, Withdraw
from aiconexus.protocol.records import DUE, JOBS, RETRY
from aiconexus.retry.census import Census
from aiconexus.retry.dispatch import Dispatcher
from aiconexus.retry.fairness import FairQueue, Slots
from aiconexus.retry.intake import Intake
from aiconexus.retry.job import Pace
from aiconexus.retry.mail import Mail
from aiconexus.retry.office import Office
from aiconexus.retry.settings import RetrySettings
from aiconexus.retry.steps import Steps
from aiconexus.retry.store import Store
from aiconexus.retry.streams import ACK_PENDING_MAX, stream_configs
from aiconexus.retry.timers import Timers
from aiconexus.runtime.ask import ask
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.context import Context
from aiconexus.runtime.desk import Desk

RELAY_SECONDS = 10.0
"""A relay that loses the leader of its stream answers late."""


@asynccontextmanager
async def serve(context: Context[RetrySettings], streams: Streams | None = None) -> AsyncIterator[None]:
    """
    Try again for as long as the context is entered.

    Args:
        context: What the service is given.
        streams: Read and written instead of those of the context's session.

    """
    retry = _Retry(context, streams or Streams(context.session))
    await retry.prepare()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(retry.dispatcher.read())]
        running += [tasks.create_task(retry.dispatcher.work()) for _ in range(context.settings.steps_max)]
        async with retry.desk:
            yield
        # What is cancelled in the middle goes on in another replica, or in the next process.
        for task in running:
            task.cancel()
    await retry.puller.close()


class _Retry:
    def __init__(self, context: Context[RetrySettings], streams: Streams) -> None:
        settings = context.settings
        self._context = context
        self._streams = streams
        self.puller = Puller(context.session, RETRY, DUE)
        store = Store(self._streams, now_ms, settings.finished_kept_seconds, settings.dead_letters_kept_seconds)
        timers, mail = Timers(self._streams), Mail(self._ask_relay)
        steps = Steps(
            store,
            timers,
            mail,
            key=context.key,
            services=context.directory.services,
            pace=Pace(first_ms=int(settings.look_seconds * 1000), longest_ms=int(settings.look_max_seconds * 1000)),
            now_ms=now_ms,
            log=context.log,
        )
        self.dispatcher = Dispatcher(
            self.puller,
            timers,
            steps.advance,
            queue=FairQueue(settings.sender_queue_max, max(1, settings.steps_max // 2)),
            slots=Slots(settings.sender_steps_per_second, settings.senders_max),
            now_ms=now_ms,
            log=context.log,
        )
        budgets = Budgets(settings.sender_rate_per_second, settings.sender_burst, settings.senders_max)
        census = Census(store.open_jobs, settings.sender_jobs_max, settings.senders_max)
        self._intake = Intake(store, steps, budgets, census, now_ms=now_ms)
        questions = Budgets(settings.question_rate_per_second, settings.question_burst, settings.senders_max)
        self._office = Office(store, steps, timers, mail, directory=context.directory, budgets=questions, now_ms=now_ms)
        # Jobs have a budget of their own, and the desk must not be narrower.
        rate, burst = settings.sender_rate_per_second, settings.sender_burst
        self.desk = Desk(context, budgets=Budgets(2 * rate, 2 * burst, settings.senders_max))

    async def prepare(self) -> None:
        """Bring the streams to what the settings say, and everything to its place."""
        settings, session = self._context.settings, self._context.session
        for config in stream_configs(settings):
            await self._streams.ensure(config)
        await ensure_consumer(
            session,
            RETRY,
            DUE,
            subjects.retry_dues(),
            ack_wait_seconds=settings.ack_wait_seconds,
            ack_pending_max=ACK_PENDING_MAX,
        )
        await self.puller.open()
        desk, office = self.desk, self._office
        desk.on(Schedule, self._intake.schedule)
        desk.on(Schedule, self._intake.schedule, by=self._context.directory.services)
        desk.on(Return, self._intake.give_back)
        desk.on(Return, self._intake.take_over, by=("relay",))
        desk.on(Withdraw, office.withdraw)
        desk.on(Jobs, office.jobs)
        desk.on(ShowJob, office.show)
        desk.on(DeadLetters, office.dead_letters)
        desk.on(Requeue, office.requeue)
        desk.on(Drop, office.drop)
        self._context.health.add_check("jobs", self._check)

    async def _ask_relay(self, verb: str, body: Body) -> Body:
        return (await ask(self._context, "relay", verb, body, timeout_seconds=RELAY_SECONDS)).body

    async def _check(self) -> None:
        await self._streams.info(JOBS)
