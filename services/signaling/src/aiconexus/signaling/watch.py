"""Which servers work: each one is probed again and again, and a breaker says whether it is believed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from prometheus_client import Counter, Enum, Gauge

from aiconexus.runtime.health import Component, Status
from aiconexus.runtime.logs import Log
from aiconexus.signaling.addresses import Address
from aiconexus.signaling.breaker import Breaker, Pace, State, failed, succeeded, tried
from aiconexus.signaling.credentials import Login, login_of
from aiconexus.signaling.probe import Probed, ProbeFailed

UP = Gauge("aiconexus_signaling_turn_up", "Whether a STUN or TURN server is named to agents.", ["server"])
LATENCY = Gauge("aiconexus_signaling_turn_latency_seconds", "One round trip to a server, as measured last.", ["server"])
BREAKER = Enum(
    "aiconexus_signaling_turn_breaker",
    "State of a server's circuit breaker.",
    ["server"],
    states=[state.value for state in State],
)
PROBES = Counter("aiconexus_signaling_turn_probes", "Probes of a server, by what they found.", ["server", "outcome"])

PROBE_LOGIN_SECONDS = 60

Probe = Callable[[Address, Sequence[Login]], Awaitable[Probed]]


class Standing(msgspec.Struct, frozen=True):
    """What is known of one server; ``seconds`` is None as long as no probe succeeded since the last one that failed."""

    breaker: Breaker = Breaker()
    seconds: float | None = None
    secret: int = 0

    @property
    def is_up(self) -> bool:
        """Whether agents should use it: one failure is no news yet, several are."""
        return self.breaker.state is State.CLOSED and self.seconds is not None


class Watch:
    """
    The standing of every server.

    Args:
        addresses: Of the servers.
        secrets: Of the TURN servers, the current one first; while it changes, each server has one of them.
        user: Of the probes; TURN servers count allocations by it, so each replica has one.
        probe: See ``Prober.probe``.
        pace: How often.
        log: Of the service.

    """

    def __init__(
        self,
        addresses: Sequence[Address],
        secrets: Sequence[str],
        *,
        user: str,
        probe: Probe,
        pace: Pace,
        log: Log,
    ) -> None:
        self._secrets = secrets
        self._user = user
        self._probe = probe
        self._pace = pace
        self._log = log
        self._standings = {address: Standing() for address in addresses}
        for address in addresses:
            self._show(address)

    async def look(self) -> None:
        """Probe every server once, all at the same time."""
        await asyncio.gather(*(self._look_at(address) for address in self._standings))

    async def run(self) -> None:
        """Probe each server whenever it is due, from now on."""
        async with asyncio.TaskGroup() as tasks:
            for address in self._standings:
                tasks.create_task(self._follow(address))

    def up(self) -> list[tuple[Address, Standing]]:
        """The servers that agents should use, the fastest first."""
        found = [item for item in self._standings.items() if item[1].is_up]
        return sorted(found, key=lambda item: item[1].seconds or 0.0)

    async def check(self) -> Component:
        """Say how many servers work: signals go through without any."""
        down = [address.url for address, standing in self._standings.items() if not standing.is_up]
        detail = {"configured": len(self._standings), "up": len(self._standings) - len(down)}
        if not down:
            return Component(status=Status.HEALTHY, detail=detail)
        return Component(status=Status.DEGRADED, reason=f"down: {', '.join(down)}", detail=detail)

    async def _follow(self, address: Address) -> None:
        while True:
            await asyncio.sleep(self._standings[address].breaker.due_at - time.monotonic())
            await self._look_at(address)

    async def _look_at(self, address: Address) -> None:
        before = self._standings[address]
        self._set(address, msgspec.structs.replace(before, breaker=tried(before.breaker, time.monotonic())))
        try:
            probed = await self._probe(address, self._logins(address))
        except ProbeFailed as error:
            PROBES.labels(address.url, error.fault.value).inc()
            self._fail(address, before, error)
        else:
            PROBES.labels(address.url, "ok").inc()
            breaker = succeeded(before.breaker, time.monotonic(), self._pace)
            self._set(address, Standing(breaker, probed.seconds, probed.login))
            if not before.is_up:
                self._log.info("signaling.server_found", server=address.url, latency_seconds=round(probed.seconds, 6))

    def _fail(self, address: Address, before: Standing, error: ProbeFailed) -> None:
        breaker = failed(self._standings[address].breaker, time.monotonic(), self._pace)
        seconds = before.seconds if breaker.state is State.CLOSED else None
        self._set(address, Standing(breaker, seconds, before.secret))
        if breaker.state is State.OPEN and breaker.openings == 1:
            facts = {"server": address.url, "fault": error.fault.value, "detail": error.detail[:200]}
            self._log.warning("signaling.server_lost", **facts)

    def _logins(self, address: Address) -> list[Login]:
        if not address.is_turn:
            return []
        ends = int(time.time()) + PROBE_LOGIN_SECONDS
        return [login_of(secret, self._user, ends) for secret in self._secrets]

    def _set(self, address: Address, standing: Standing) -> None:
        self._standings[address] = standing
        self._show(address)

    def _show(self, address: Address) -> None:
        standing = self._standings[address]
        UP.labels(address.url).set(standing.is_up)
        BREAKER.labels(address.url).state(standing.breaker.state.value)
        if standing.seconds is not None:
            LATENCY.labels(address.url).set(standing.seconds)
