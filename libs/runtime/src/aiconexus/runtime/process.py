"""
The life of a service: settings, logs, health, bus, then the service itself, until a signal ends it in good order.

Exit codes: 0 after SIGTERM or SIGINT, 1 after a crash, 2 if the settings are not usable.
"""

import asyncio
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Generic, NoReturn, TypeVar

import uvloop

from aiconexus.bus.session import Session
from aiconexus.protocol import subjects
from aiconexus.protocol.errors import BusUnavailable, SettingsError
from aiconexus.protocol.keys import SigningKey
from aiconexus.runtime import logs
from aiconexus.runtime.buswatch import BusWatch
from aiconexus.runtime.context import Context
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.health import Component, Health, judged
from aiconexus.runtime.metrics import INFO, LOOP_EXCEPTIONS
from aiconexus.runtime.ports import Ports
from aiconexus.runtime.resources import disk_use, memory_use
from aiconexus.runtime.settings import ServiceSettings, load, shown
from aiconexus.runtime.voice import Voice

CRASHED = 1
MISCONFIGURED = 2

S = TypeVar("S", bound=ServiceSettings)
Start = Callable[[Context[S]], AbstractAsyncContextManager[Any]]
"""Builds a service: it serves when the context manager is entered, and has stopped when it is left."""


def run(service: str, settings_class: type[S], start: Start[S]) -> NoReturn:
    """
    Be a service, and leave the process when it is over.

    The service may take its time to start; the bus is there by then. On SIGTERM or SIGINT the process says that it is
    not ready, leaves the service's context manager, and drains the bus. A second signal ends it at once.

    Args:
        service: Its name: in settings, subjects, logs and metrics.
        settings_class: What there is to set.
        start: See ``Start``.

    """
    sys.exit(_run(service, settings_class, start))


def _run(service: str, settings_class: type[S], start: Start[S]) -> int:
    try:
        settings = load(settings_class, service)
        process = _Process(service, settings)
    except SettingsError as error:
        return _misconfigured(service, error)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(process.live(start))
    except SettingsError as error:
        return _misconfigured(service, error)
    except Exception as error:  # noqa: BLE001 - the last word before the process ends
        process.crashed(error)
        return CRASHED
    process.tell("process_stopped")
    return 0


def _misconfigured(service: str, error: SettingsError) -> int:
    sys.stderr.write(f"{service}: {error}\n")
    return MISCONFIGURED


class _Process(Generic[S]):
    def __init__(self, service: str, settings: S) -> None:
        self._service = service
        self._settings = settings
        self._directory = Directory.load(settings.directory_file)
        self._key = SigningKey(settings.seed)
        _check_identity(service, self._key, self._directory)
        self._instance = settings.instance or secrets.token_hex(4)
        self._version = _version_of(service)
        self._log = logs.configure(
            settings.log_level, settings.log_format, service=service, instance=self._instance, version=self._version
        )
        self._health = Health(service, self._instance, self._version)
        self._watch = BusWatch(service, self._log)
        self._stop = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self._closed = False
        self._serving = False

    def tell(self, event: str, **facts: Any) -> None:
        self._log.info(f"{self._service}.{event}", **facts)

    def crashed(self, error: Exception) -> None:
        self._log.error(f"{self._service}.process_crashed", exc_info=error)

    async def live(self, start: Start[S]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_exception)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        self.tell("settings_loaded", **shown(self._settings))
        INFO.labels(self._service, self._version, self._settings.environment).set(1)
        try:
            self._living = loop.create_task(self._live(start))
            await self._living
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise

    async def _live(self, start: Start[S]) -> None:
        settings = self._settings
        ports = Ports(self._service, settings.ports_file, self._log)
        self._add_checks()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._health.close)
            ports.announce("metrics", await self._health.listen(settings.host, settings.metrics_port))
            session = await self._connect()
            stack.push_async_callback(session.close)
            await self._serve(start, self._context(session, ports))

    async def _serve(self, start: Start[S], context: Context[S]) -> None:
        async with asyncio.timeout(None) as limit:
            async with start(context):
                self._serving = True
                self._health.open_doors()
                self.tell("service_started")
                await self._stop.wait()
                self._health.close_doors()
                self.tell("service_stopping")
                limit.reschedule(asyncio.get_running_loop().time() + self._settings.drain_seconds)
            if self._closed:
                raise BusUnavailable(self._settings.nats_urls, "the connection was closed for good")
            await context.session.drain()

    async def _connect(self) -> Session:
        session = await Session.connect(
            self._settings.nats_urls,
            self._key,
            name=f"{self._service}.{self._instance}",
            inbox_prefix=subjects.service_inbox(self._service),
            on_down=self._watch.down,
            on_up=self._watch.up,
            on_closed=self._on_closed,
            on_error=self._watch.error,
        )
        self._watch.follow(session)
        return session

    def _context(self, session: Session, ports: Ports) -> Context[S]:
        return Context(
            service=self._service,
            instance=self._instance,
            settings=self._settings,
            key=self._key,
            voice=Voice(self._key),
            directory=self._directory,
            session=session,
            health=self._health,
            ports=ports,
            log=self._log,
        )

    def _add_checks(self) -> None:
        settings = self._settings

        async def memory() -> Component:
            use = await asyncio.to_thread(memory_use)
            return judged(use, settings.memory_degraded_ratio, settings.memory_unhealthy_ratio)

        async def disk() -> Component:
            use = await asyncio.to_thread(disk_use, settings.disk_path)
            return judged(use, settings.disk_degraded_ratio, settings.disk_unhealthy_ratio)

        self._health.add_check("bus", self._watch.check)
        self._health.add_check("memory", memory)
        self._health.add_check("disk", disk)

    def _told_to_stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
        self._stop.set()
        if self._living is not None and not self._serving:
            self._living.cancel()

    def _on_closed(self) -> None:
        if not self._stop.is_set():
            self._closed = True
            self._stop.set()

    def _on_loop_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        LOOP_EXCEPTIONS.inc()
        event, error = f"{self._service}.loop_failed", context.get("exception")
        self._log.error(event, reason=context.get("message"), exc_info=error)


def _check_identity(service: str, key: SigningKey, directory: Directory) -> None:
    if directory.did_of(service) != key.did:
        raise SettingsError([f"the seed is that of {key.did}, but the directory calls {service} another"])


def _version_of(service: str) -> str:
    try:
        return version(f"aiconexus-{service}")
    except PackageNotFoundError:
        return "unpackaged"
