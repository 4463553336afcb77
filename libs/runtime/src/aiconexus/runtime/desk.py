"""
Where a service is asked: signed requests in, signed answers out.

Each request runs in a task of its own; there are only so many at a time, further ones wait in a backlog. Who asks too
often is turned away before that, so that nobody fills the backlog for the others. The replicas of a service share the
requests as a queue group.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Generic, Self, TypeVar, cast

import msgspec
from prometheus_client import Counter

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Handler, Incoming, Subscription
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Ping, Pong
from aiconexus.protocol.delivery_errors import RateLimited
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import AiconexusError, Refused, RemoteProblem, UnsupportedType
from aiconexus.protocol.problems import INTERNAL, problem_of
from aiconexus.protocol.seal import Letter
from aiconexus.runtime.admission import Admission, Errand
from aiconexus.runtime.backlog import Backlog
from aiconexus.runtime.budgets import Budgets
from aiconexus.runtime.context import Context
from aiconexus.runtime.logs import Throttle
from aiconexus.runtime.metrics import request_seconds_of, requests_of
from aiconexus.runtime.parties import return_address
from aiconexus.runtime.refusals import Refusals

REQUESTS_MAX = 256
"""Requests that are handled at the same time."""
SENDER_RATE_PER_SECOND = 1_000
"""What one agent may ask one replica in the long run, where the service says nothing else."""
SENDER_BURST = 2_000
SENDERS_MAX = 100_000

IGNORED = Counter("aiconexus_runtime_requests_ignored_total", "Requests of agents that go on after being refused")

B = TypeVar("B", bound=Body)


class Request(msgspec.Struct, Generic[B], frozen=True):
    """
    A verified request.

    ``asker`` is the name of the asking service, None for an agent. ``incoming`` holds subject and headers: the server
    authenticates ``Nats-Request-Info``, anything else in the headers is the sender's word.
    """

    letter: Letter
    body: B
    incoming: Incoming
    asker: str | None = None

    @property
    def envelope(self) -> Envelope:
        """Who asks, and when."""
        return self.letter.envelope

    @property
    def sender(self) -> str:
        """The DID that signed the request."""
        return self.letter.envelope.sender

    @property
    def token(self) -> str:
        """The sender as a subject token."""
        return self.sender.removeprefix(PREFIX)


RequestHandler = Callable[[Request[B]], Awaitable[Body]]


class _Entry(msgspec.Struct, frozen=True):
    body: type[Body]
    handler: RequestHandler[Any]
    askers: frozenset[str] | None


class Desk:
    """
    The desk of one service.

    Args:
        context: Of the service.
        service: Its name, by default the context's.
        budgets: How often each agent may ask.

    """

    def __init__(self, context: Context[Any], service: str | None = None, *, budgets: Budgets | None = None) -> None:
        self._service = service or context.service
        self._session = context.session
        self._voice = context.voice
        self._log = context.log
        self._admission = Admission(context.key.did, context.directory)
        self._refusals = Refusals(self._service, context.log)
        self._of_agents: dict[str, _Entry] = {}
        self._of_services: dict[str, _Entry] = {}
        self._raw: dict[str, Handler] = {}
        self._paces: set[str] = set()
        self._budgets = budgets or Budgets(SENDER_RATE_PER_SECOND, SENDER_BURST, SENDERS_MAX)
        self._slots = asyncio.Semaphore(REQUESTS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []
        self._workers: dict[asyncio.Task[None], Backlog] = {}
        self._throttle = Throttle(1)
        self._requests = requests_of(self._service)
        self._request_seconds = request_seconds_of(self._service)
        self.on(Ping, _pong)
        self.on(Ping, _pong, by=context.directory.services)

    def on(self, body: type[B], handler: RequestHandler[B], *, by: Collection[str] | None = None) -> None:
        """
        Have a type of request answered; its verb is the type in lower case.

        Args:
            body: The type.
            handler: Returns the answer, or raises an AiconexusError, which becomes an ERROR.
            by: The services that may ask; without it agents may ask, and no service.

        """
        table = self._of_agents if by is None else self._of_services
        table[body.TYPE.lower()] = _Entry(body, handler, None if by is None else frozenset(by))

    def raw(self, verb: str, handler: Handler, *, paces: bool = False) -> None:
        """
        Hand a verb over unchecked, for what is no envelope and for hot paths.

        The handler is called for one message at a time, by agents and by services; it must not wait for long. What it
        raises is logged.

        Args:
            verb: The last part of the subject.
            handler: Takes the message.
            paces: Whether the handler itself bounds what one agent may ask of it; otherwise the desk does.

        """
        self._raw[verb] = handler
        if paces:
            self._paces.add(verb)

    async def open(self) -> None:
        """
        Answer from now on.

        Raises:
            BusUnavailable: If the bus does not take note in time.

        """
        agents, services = self._backlog(self._on_agent), self._backlog(self._on_service)
        for subject, put in (
            (subjects.sends_to(self._service), partial(self._let_in, agents)),
            (subjects.service_verbs(self._service), services.put),
        ):
            self._subscriptions.append(await self._session.subscribe(subject, put, queue=self._service, direct=True))
        await self._session.barrier()

    async def close(self) -> None:
        """Take no more, and finish what has arrived."""
        for subscription in self._subscriptions:
            await subscription.drain()
        self._subscriptions.clear()
        for worker, backlog in self._workers.items():
            await backlog.settle()
            worker.cancel()
        self._workers.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _backlog(self, handler: Handler) -> Backlog:
        backlog = Backlog(handler, self._on_lost)
        self._workers[asyncio.get_running_loop().create_task(backlog.run())] = backlog
        return backlog

    async def _let_in(self, backlog: Backlog, incoming: Incoming) -> None:
        if _verb_of(incoming) in self._paces:
            await backlog.put(incoming)
            return
        token = subjects.sender_of(incoming.subject)[0]
        wait_ms = self._budgets.take(token, time.monotonic())
        if wait_ms == 0:
            await backlog.put(incoming)
        elif wait_ms is None:
            IGNORED.inc()
        else:
            await self._slow_down(PREFIX + token, incoming, wait_ms)

    async def _slow_down(self, did: str, incoming: Incoming, wait_ms: int) -> None:
        self._requests.labels("unknown", problem_of(RateLimited(wait_ms)).name).inc()
        if incoming.reply:
            id_, codec = return_address(incoming.data)
            complaint = self._voice.complain(RateLimited(wait_ms), did, codec=codec, in_reply_to=id_)
            await self._session.publish(incoming.reply, complaint)

    async def _on_agent(self, incoming: Incoming) -> None:
        raw = self._raw.get(_verb_of(incoming))
        if raw is not None:
            await raw(incoming)
            return
        await self._take(Errand(incoming, by_service=False))

    async def _on_service(self, incoming: Incoming) -> None:
        await self._take(Errand(incoming, by_service=True))

    async def _take(self, errand: Errand) -> None:
        raw = self._raw.get(errand.verb)
        if raw is not None:
            await raw(errand.incoming)
            return
        await self._slots.acquire()
        task = asyncio.get_running_loop().create_task(self._serve(errand))
        self._tasks.add(task)
        task.add_done_callback(self._release)

    def _on_lost(self, error: Exception) -> None:
        suppressed = self._throttle.admit(now_ms())
        if suppressed is not None:
            self._log.error(f"{self._service}.request_lost", reason=str(error), suppressed=suppressed, exc_info=error)

    def _release(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning(f"{self._service}.answer_lost", reason=str(error))

    async def _serve(self, errand: Errand) -> None:
        started = time.perf_counter()
        answer: bytes | None
        try:
            answer, outcome = await self._answer(errand), "ok"
        except AiconexusError as error:
            answer, outcome = self._complaint(errand, error), _outcome(error)
            if outcome == INTERNAL.name:
                self._log.exception(f"{self._service}.request_failed", type=errand.type, sender=errand.to)
        except Exception:  # noqa: BLE001 - one request must not take the desk with it
            self._log.exception(f"{self._service}.request_failed", type=errand.type, sender=errand.to)
            answer, outcome = self._complaint(errand, AiconexusError()), INTERNAL.name
        self._requests.labels(errand.type, outcome).inc()
        self._request_seconds.labels(errand.type).observe(time.perf_counter() - started)
        if answer and errand.incoming.reply:
            await self._session.publish(errand.incoming.reply, answer)

    async def _answer(self, errand: Errand) -> bytes:
        letter = self._read(errand)
        entry = self._entry(errand, letter.envelope.type)
        request = Request(letter, letter.body, errand.incoming, errand.asker)
        answer = await entry.handler(request)
        return self._voice.say(answer, cast("str", errand.to), codec=errand.codec, in_reply_to=errand.id)

    def _read(self, errand: Errand) -> Letter:
        started = time.thread_time()
        try:
            return self._admission.admit(errand, now_ms())
        finally:
            if errand.to is not None and not errand.by_service:
                seconds, size = time.thread_time() - started, len(errand.incoming.data)
                self._budgets.spend(errand.to.removeprefix(PREFIX), seconds, size)

    def _entry(self, errand: Errand, type_: str) -> _Entry:
        entry = (self._of_services if errand.by_service else self._of_agents).get(errand.verb)
        if entry is None or type_ != entry.body.TYPE:
            raise UnsupportedType(type_)
        errand.type = type_
        if entry.askers is not None and errand.asker not in entry.askers:
            reason = f"{errand.asker} may not ask this"
            raise Refused(reason)
        return entry

    def _complaint(self, errand: Errand, error: AiconexusError) -> bytes | None:
        self._refusals.note(error, errand.to)
        if errand.to is None:
            return None
        return self._voice.complain(error, errand.to, codec=errand.codec, in_reply_to=errand.id)


async def _pong(request: Request[Ping]) -> Pong:
    return Pong(sequence=request.body.sequence)


def _verb_of(incoming: Incoming) -> str:
    """The last part of the subject, whatever stands before it."""
    return incoming.subject[incoming.subject.rfind(".") + 1 :]


def _outcome(error: AiconexusError) -> str:
    """A label: what a remote told us must not become one."""
    return "remote" if isinstance(error, RemoteProblem) else problem_of(error).name
