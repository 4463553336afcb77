import asyncio
from collections.abc import Sequence

import pytest

from aiconexus.runtime.health import Status
from aiconexus.runtime.testing import Lines, counted
from aiconexus.signaling.addresses import Address, address_of
from aiconexus.signaling.breaker import Pace
from aiconexus.signaling.credentials import Login
from aiconexus.signaling.probe import Fault, Probed, ProbeFailed
from aiconexus.signaling.watch import Watch

PACE = Pace(every=0.01, again=0.005, failures_max=3, rest=0.01, rest_max=0.02)
STUN, NEAR, FAR = (address_of(url) for url in ("stun:s.test", "turn:near.test", "turn:far.test"))
SECONDS = {STUN: 0.02, NEAR: 0.01, FAR: 0.3}


class Servers:
    """Servers that work until they are told not to."""

    def __init__(self) -> None:
        self.down: dict[Address, Fault] = {}
        self.known_secret = 0
        self.logins: list[Sequence[Login]] = []
        self.trials = 0
        self._tried = asyncio.Condition()

    async def probe(self, address: Address, logins: Sequence[Login]) -> Probed:
        """Answer, or not."""
        async with self._tried:
            self.trials += 1
            self._tried.notify_all()
        self.logins.append(logins)
        if address in self.down:
            raise ProbeFailed(self.down[address], "as told")
        return Probed(SECONDS[address], self.known_secret)

    async def more(self, count: int) -> None:
        """Wait for further probes."""
        wanted = self.trials + count
        async with asyncio.timeout(5), self._tried:
            await self._tried.wait_for(lambda: self.trials >= wanted)


@pytest.fixture
def servers() -> Servers:
    """All of them at work."""
    return Servers()


@pytest.fixture
def lines() -> Lines:
    """What is logged."""
    return Lines()


@pytest.fixture
def watch(servers: Servers, lines: Lines) -> Watch:
    """A watch that was not at work yet."""
    return Watch([STUN, FAR, NEAR], ["new", "old"], user="probe-s1", probe=servers.probe, pace=PACE, log=lines.log)


def up(watch: Watch) -> list[Address]:
    """Whom it names."""
    return [address for address, _ in watch.up()]


async def test_nobody_is_named_before_it_was_probed(watch: Watch) -> None:
    """What nobody has tried yet is not said to work."""
    assert [] == up(watch)
    assert Status.DEGRADED is (await watch.check()).status


async def test_the_fastest_is_named_first(watch: Watch) -> None:
    """In the order of what was measured last."""
    await watch.look()

    assert [NEAR, STUN, FAR] == up(watch)


async def test_probes_log_in_with_every_secret(watch: Watch, servers: Servers) -> None:
    """A TURN server is tried with the new secret and with the old one, and what it knows is kept; STUN needs none."""
    servers.known_secret = 1
    await watch.look()
    users = [[login.username.partition(":")[2] for login in logins] for logins in servers.logins]

    assert [["probe-s1"] * 2, ["probe-s1"] * 2, []] == sorted(users, reverse=True)
    assert {1} == {standing.secret for _, standing in watch.up()}


async def test_a_failure_is_forgiven_and_several_are_not(watch: Watch, servers: Servers) -> None:
    """One lost packet takes no server off the list; three failures in a row do."""
    await watch.look()
    servers.down[NEAR] = Fault.TIMEOUT
    found = []
    for _ in range(3):
        await watch.look()
        found.append(NEAR in up(watch))

    assert [True, True, False] == found


async def test_who_comes_back_is_named_again(watch: Watch, servers: Servers) -> None:
    """One probe that succeeds after the rest is enough."""
    servers.down = dict.fromkeys((STUN, NEAR, FAR), Fault.UNREACHABLE)
    running = asyncio.create_task(watch.run())
    await servers.more(12)
    before = up(watch)
    servers.down = {}
    await servers.more(12)
    running.cancel()

    assert ([], [NEAR, STUN, FAR]) == (before, up(watch))


async def test_the_health_tells_who_is_down(watch: Watch, servers: Servers) -> None:
    """Some that are down make the service degraded, never unready; all up is healthy."""
    await watch.look()
    well = await watch.check()
    servers.down[FAR] = Fault.REFUSED
    for _ in range(3):
        await watch.look()
    ill = await watch.check()

    assert (Status.HEALTHY, {"configured": 3, "up": 3}) == (well.status, well.detail)
    assert (Status.DEGRADED, "down: turn:far.test", 2) == (ill.status, ill.reason, ill.detail["up"])


async def test_losses_are_logged_once(watch: Watch, servers: Servers, lines: Lines) -> None:
    """A server that stays down does not fill the log, and its return is told."""
    await watch.look()
    servers.down[FAR] = Fault.UNAUTHORIZED
    for _ in range(6):
        await watch.look()
    servers.down = {}
    await watch.look()
    told = [line for line in lines.all if line["server"] == FAR.url]

    assert ["signaling.server_found", "signaling.server_lost", "signaling.server_found"] == [
        line["event"] for line in told
    ]
    assert "unauthorized" == told[1]["fault"]


async def test_everything_is_counted(watch: Watch, servers: Servers) -> None:
    """Metrics tell of each server whether it is named, how far it is, its breaker, and what probes found."""
    name = "aiconexus_signaling_turn_"
    before = counted(f"{name}probes_total", server=FAR.url, outcome="timeout")
    await watch.look()
    first = counted(f"{name}up", server=FAR.url), counted(f"{name}latency_seconds", server=FAR.url)
    servers.down[FAR] = Fault.TIMEOUT
    for _ in range(3):
        await watch.look()
    labels = {"server": FAR.url, f"{name}breaker": "open"}

    assert (1.0, 0.3) == first
    assert (0.0, 1.0) == (counted(f"{name}up", server=FAR.url), counted(f"{name}breaker", **labels))
    assert before + 3 == counted(f"{name}probes_total", server=FAR.url, outcome="timeout")
