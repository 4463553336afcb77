import pytest

from aiconexus.protocol.bodies import Body, Error
from aiconexus.protocol.signal_bodies import Incident, Noted
from aiconexus.protocol.vocabulary import INCIDENTS, SECURITY_INCIDENTS
from aiconexus.runtime.context import Context
from aiconexus.runtime.testing import counted
from aiconexus.signaling.settings import SignalingSettings

from .world import Agent, World

COUNT = "aiconexus_signaling_incidents_total"


async def report(agent: Agent, world: World, event: str, **fields: str) -> Body:
    """INCIDENT."""
    body = Incident(event=event, at_ms=7, **fields)
    return (await agent.request("incident", agent.sealed(body, world.did))).body


@pytest.mark.parametrize("event", sorted(INCIDENTS))
@pytest.mark.usefixtures("signaling")
async def test_an_incident_is_noted(world: World, ann: Agent, bob: Agent, event: str) -> None:
    """It is counted and logged with all that was told; attempts to deceive are warnings."""
    before = counted(COUNT, event=event)
    answer = await report(ann, world, event, peer=bob.did, session="s1", detail="why")
    line = world.lines.of("signaling.incident_noted")[0]

    assert Noted(event=event) == answer
    assert before + 1 == counted(COUNT, event=event)
    assert {"incident": event, "sender": ann.did, "peer": bob.did, "session": "s1", "detail": "why", "at_ms": 7} == {
        name: fact for name, fact in line.items() if name not in {"event", "suppressed", "level"}
    }
    assert ("warning" if event in SECURITY_INCIDENTS else "info") == line["level"]


@pytest.mark.usefixtures("signaling")
async def test_what_is_no_incident_is_refused(world: World, ann: Agent) -> None:
    """Agents make up no events of their own: neither the log nor a label takes them."""
    answer = await report(ann, world, "made_up")

    assert isinstance(answer, Error)
    assert ("refused", []) == (answer.problem, world.lines.of("signaling.incident_noted"))
    assert 0 == counted(COUNT, event="made_up")


async def test_reports_are_limited(world: World, ann: Agent) -> None:
    """Nobody fills the log of the operator."""
    async with world.signaling(incident_burst=3):
        answers = [await report(ann, world, "glare") for _ in range(5)]

    assert ["NOTED"] * 3 + ["ERROR"] * 2 == [answer.TYPE for answer in answers]
    assert 3 == len(world.lines.of("signaling.incident_noted"))


async def test_who_never_registered_reports_nothing(world: World, signaling: Context[SignalingSettings]) -> None:
    """A report names an agent that operators can find."""
    answer = await report(world.stranger(), world, "glare")

    assert isinstance(answer, Error)
    assert "unknown_agent" == answer.problem
