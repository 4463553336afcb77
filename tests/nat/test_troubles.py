"""What goes wrong on the way costs neither an envelope nor their order, and no more silence than it must."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.nat.boxes import Block, Kind
from tests.nat.pairs import Pair
from tests.nat.site import EVERYTHING, UDP, UDP_IN, UDP_OUT, losing
from tests.nat.trials import GAP_SECONDS, Steps, Trial, Trials
from tests.nat.world import End

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEALED_SECONDS = 75.0
"""Attempts come at most a minute apart."""
LOSSY_SECONDS = 20.0
SLOW_SECONDS = 15.0
FLAPPING_SECONDS = 30.0
FLAP_SECONDS = (2.0, 3.0)
AWHILE_SECONDS = 4.5

SYMMETRIC = End(kind=Kind.SYMMETRIC)


def broken(seconds: float, *faults: str, back: str = "direct") -> Steps:
    """Break something for a while, and see that both return to a road once it is whole."""

    async def steps(pair: Pair) -> None:
        pair.a.site.fault(*faults)
        await asyncio.sleep(seconds)
        pair.a.site.heal()
        if back:
            await pair.road(back, HEALED_SECONDS)

    return steps


def slow(milliseconds: float) -> Steps:
    """Hold everything up."""

    async def steps(pair: Pair) -> None:
        pair.a.site.delay(milliseconds)
        await asyncio.sleep(SLOW_SECONDS)

    return steps


def rebound(back: str) -> Steps:
    """Give every flow a new port."""

    async def steps(pair: Pair) -> None:
        pair.a.site.rebind()
        await asyncio.sleep(AWHILE_SECONDS)
        await pair.road(back, HEALED_SECONDS)

    return steps


async def flapping(pair: Pair) -> None:
    """Break UDP and mend it again and again."""
    for _ in range(int(FLAPPING_SECONDS / sum(FLAP_SECONDS))):
        pair.a.site.fault(UDP)
        await asyncio.sleep(FLAP_SECONDS[0])
        pair.a.site.heal()
        await asyncio.sleep(FLAP_SECONDS[1])
    await pair.road("direct", HEALED_SECONDS)


async def closing_udp(pair: Pair) -> None:
    """Block UDP for good: what is left is TURN over TCP or TLS."""
    pair.a.site.close_to(Block.UDP)
    await pair.road("turn", HEALED_SECONDS)


def hidden(steps: Callable[[Pair], Awaitable[None]], name: str, end: End = SYMMETRIC, **more: float) -> Trial:
    """A trial on the road through TURN."""
    return Trial(name=name, a=end, b=SYMMETRIC, road="turn", steps=steps, **more)


WHOLE = [
    Trial(name=f"everything cut {seconds} s", steps=broken(seconds, EVERYTHING), gap_seconds=seconds + GAP_SECONDS)
    for seconds in (60, 20, 10, 6, 3)
]
BY_EDGE = Trial(
    name="everything cut 20 s, edge", a=End(road="edge"), steps=broken(20, EVERYTHING), gap_seconds=20 + GAP_SECONDS
)
TROUBLES = [
    WHOLE[0],
    Trial(name="UDP cut 60 s", steps=broken(60, UDP)),
    Trial(name="flapping 30 s", steps=flapping),
    Trial(name="UDP blocked for good", steps=closing_udp),
    *WHOLE[1:],
    BY_EDGE,
    Trial(name="UDP cut 10 s", steps=broken(10, UDP)),
    Trial(name="UDP cut 3 s", steps=broken(3, UDP)),
    Trial(name="UDP cut outwards 10 s", steps=broken(10, UDP_OUT)),
    Trial(name="UDP cut inwards 10 s", steps=broken(10, UDP_IN)),
    Trial(name="bus cut 10 s", steps=broken(10, "-p tcp -j DROP")),
    Trial(name="loss 1 %", steps=broken(LOSSY_SECONDS, losing(0.01))),
    Trial(name="loss 5 %", steps=broken(LOSSY_SECONDS, losing(0.05))),
    Trial(name="loss 30 % of UDP", steps=broken(LOSSY_SECONDS, losing(0.3, "-p udp"))),
    Trial(name="loss 30 %", steps=broken(LOSSY_SECONDS, losing(0.3)), gap_seconds=LOSSY_SECONDS + GAP_SECONDS),
    Trial(name="delay 50 ms", steps=slow(50)),
    Trial(name="delay 300 ms", steps=slow(300)),
    Trial(name="rebinding, direct", steps=rebound("direct")),
    Trial(name="rebinding, full cone", a=End(kind=Kind.FULL_CONE), steps=rebound("direct")),
    hidden(rebound("turn"), "rebinding, TURN"),
    hidden(rebound("turn"), "rebinding, TURN by TLS", End(block=Block.ALL_BUT_443, road="edge")),
    hidden(broken(10, UDP, back="turn"), "UDP to TURN cut 10 s"),
]
QUICK = {"UDP cut 3 s", "rebinding, direct"}
"""Those that run with every test."""


@pytest.mark.parametrize(
    "trial",
    [pytest.param(trial, id=trial.name, marks=() if trial.name in QUICK else pytest.mark.nat) for trial in TROUBLES],
)
async def test_trouble_costs_no_envelope(trials: Trials, trial: Trial) -> None:
    """Nothing is lost, doubled or out of order, and the mail goes on within seconds of any road being open."""
    outcome = await trials.outcome(trial)

    assert {} == outcome.verdict.violations
    assert outcome.gap_seconds <= trial.gap_seconds
