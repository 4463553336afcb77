"""Every pair of NATs finds the best road that there is, and the mail of both never stops for long on the way to it."""

import itertools

import pytest
from tests.nat.boxes import Block, Kind
from tests.nat.trials import ROAD_SECONDS, Trial, Trials
from tests.nat.world import End, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

HARD = {Kind.PORT, Kind.SYMMETRIC}


def road_between(one: Kind, other: Kind) -> str:
    """Without TURN a symmetric NAT reaches only those who do not look at the port that something comes from."""
    return "turn" if Kind.SYMMETRIC in (one, other) and {one, other} <= HARD else "direct"


PAIRS = [
    Trial(name=f"{one} / {other}", a=End(kind=one), b=End(kind=other), road=road_between(one, other))
    for one, other in itertools.combinations_with_replacement(Kind, 2)
]
BLOCKED = [
    Trial(name="UDP blocked at one", a=End(block=Block.UDP), road="turn"),
    Trial(name="UDP blocked at both", a=End(block=Block.UDP), b=End(block=Block.UDP), road="turn"),
    Trial(name="only TCP 443 open", a=End(block=Block.ALL_BUT_443, road="edge"), road="turn"),
    Trial(
        name="only TCP 443 open at both",
        a=End(block=Block.ALL_BUT_443, road="edge"),
        b=End(block=Block.ALL_BUT_443, road="edge"),
        road="turn",
    ),
    Trial(name="only the bus open", a=End(block=Block.ALL_BUT_BUS), road="relay"),
]
HIDDEN = End(direct={"policy": "relay"})

QUICK = {"port-restricted / port-restricted", "symmetric / symmetric", "only TCP 443 open at both"}
"""Those that run with every test."""


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param(trial, id=trial.name, marks=() if trial.name in QUICK else pytest.mark.nat)
        for trial in (*PAIRS, *BLOCKED)
    ],
)
async def test_best_road_is_found(trials: Trials, trial: Trial) -> None:
    """It is the expected one, and mail that was under way meanwhile is neither lost, doubled, disordered nor late."""
    outcome = await trials.outcome(trial)

    assert {} == outcome.verdict.violations
    assert trial.road == outcome.road
    assert outcome.gap_seconds <= trial.gap_seconds


async def test_hidden_agents_speak_through_turn_alone(world: World, trials: Trials) -> None:
    """Under the relay-only policy not one datagram goes from one to the other, although nothing would be in its way."""
    async with world.pair("relay-only policy", HIDDEN, HIDDEN) as pair:
        pair.a.site.count_to(pair.b.site.address)
        pair.b.site.count_to(pair.a.site.address)
        await pair.converse()
        await pair.connect()
        await pair.road("turn", ROAD_SECONDS)
        outcome = await pair.settle()
        trials.note("relay-only policy at both", outcome)

        assert (0, 0) == (pair.a.site.packets_to(pair.b.site.address), pair.b.site.packets_to(pair.a.site.address))
        assert {} == outcome.verdict.violations
