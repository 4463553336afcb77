import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.direct_errors import UnexpectedSignal
from aiconexus.sdk.direct.states import (
    ICE,
    PEER,
    SESSION,
    ConnectionState,
    Happening,
    IceEvent,
    IceState,
    Step,
    Turn,
    Verdict,
    advance,
    judge_offer,
)

LOWER, HIGHER = "did:key:zA", "did:key:zB"
TABLES = [
    pytest.param(PEER, ConnectionState, Happening, id="peer"),
    pytest.param(ICE, IceState, IceEvent, id="ice"),
    pytest.param(SESSION, Step, Turn, id="session"),
]


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_state_has_a_row(table: Any, states: Any, events: Any) -> None:
    """No state is forgotten, and no table leads out of its own states and events."""
    assert set(states) == set(table)
    assert {event for row in table.values() for event in row} <= set(events)
    assert {after for row in table.values() for after in row.values()} <= set(states)


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_event_leads_somewhere(table: Any, states: Any, events: Any) -> None:
    """No event is in vain."""
    assert set(events) == {event for row in table.values() for event in row}


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_state_can_be_reached(table: Any, states: Any, events: Any) -> None:
    """From the first state there is a way to each."""
    reached = {next(iter(states))}
    for _ in states:
        reached |= {after for state in reached for after in table[state].values()}

    assert set(states) == reached


@pytest.mark.parametrize("state", [ConnectionState.CLOSED])
def test_closed_is_for_good(state: ConnectionState) -> None:
    """Nothing leads out of closed."""
    assert {} == PEER[state]


def test_what_stands_in_no_table_is_refused() -> None:
    """An event out of its place is an error, not a guess."""
    with pytest.raises(UnexpectedSignal, match="answer_taken"):
        advance(SESSION, Step.NEW, Turn.ANSWER_TAKEN)


def test_session_goes_one_way() -> None:
    """An offerer comes from new to established step by step."""
    step = Step.NEW
    for turn in (
        Turn.DESCRIBE,
        Turn.OFFER_SENT,
        Turn.ANSWER_TAKEN,
        Turn.TRANSPORT_UP,
        Turn.CHANNEL_OPEN,
        Turn.HELLO_VERIFIED,
    ):
        step = advance(SESSION, step, turn)

    assert Step.ESTABLISHED == step


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.ESTABLISHED])
def test_nothing_but_a_verified_hello_establishes(step: Step) -> None:
    """Every way into established is a HELLO that was verified, after the channel was open."""
    ways = [(turn, after) for turn, after in SESSION[step].items() if after is Step.ESTABLISHED]

    assert ways == ([(Turn.HELLO_VERIFIED, Step.ESTABLISHED)] if step is Step.GREETING else [])


def test_crossed_offers_leave_exactly_one() -> None:
    """When both offer at once, the lower DID's offer yields and the other one's goes on."""
    assert Verdict.TAKE == judge_offer(LOWER, HIGHER, Step.OFFERED, ours=True)
    assert Verdict.PASS_OVER == judge_offer(HIGHER, LOWER, Step.OFFERED, ours=True)


@given(us=st.text(), them=st.text())
def test_glare_never_leaves_both_or_none(us: str, them: str) -> None:
    """Whatever two different names are, one side takes and the other passes over."""
    verdicts = {
        judge_offer(us, them, Step.OFFERED, ours=True),
        judge_offer(them, us, Step.OFFERED, ours=True),
    }

    assert us == them or verdicts == set(Verdict)


@pytest.mark.parametrize("pending", [None, *(step for step in Step if step is not Step.OFFERED)])
@pytest.mark.parametrize("ours", [True, False])
def test_an_offer_that_does_not_cross_is_answered(pending: Step | None, ours: bool) -> None:
    """The newest offer of a peer counts: it knows of ours, has given it up, or never heard of it."""
    assert Verdict.TAKE == judge_offer(HIGHER, LOWER, pending, ours=ours)


def test_module_decides_and_does_nothing() -> None:
    """The tables know no stack, no clock and no loop."""
    source = Path(advance.__code__.co_filename).read_text()

    assert re.findall(r"^(?:from|import) (aiortc|asyncio|time|random)", source, re.MULTILINE) == []
