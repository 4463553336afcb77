import pytest

from aiconexus.bus.clock import now_ms
from aiconexus.bus.session import Incoming
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Ping, Pong
from aiconexus.protocol.edge_bodies import Attach, Attached, Detach, Detached
from aiconexus.protocol.errors import (
    AiconexusError,
    EnvelopeStale,
    ForeignSender,
    MalformedEnvelope,
    NoResponders,
    RemoteProblem,
    RequestTimedOut,
    SettingsError,
    UnknownAgent,
)
from aiconexus.protocol.limits import FRESHNESS_MS
from aiconexus.protocol.seal import unseal
from aiconexus.runtime.ask import ask
from aiconexus.runtime.desk import Desk, Request

from .world import World

ATTACH = Attach(session="s", edge="e1", register=b"r")


async def test_a_service_gets_the_verified_answer_of_another(world: World) -> None:
    """Two desks, one question, one letter."""
    identity = Desk(await world.context("identity"))

    async def attach(request: Request[Attach]) -> Attached:
        return Attached(answer=request.body.register + str(request.asker).encode())

    identity.on(Attach, attach, by=("edge",))
    await identity.open()
    edge = await world.context("edge")
    letter = await ask(edge, "identity", "attach", ATTACH)
    pong = await ask(edge, "identity", "ping", Ping(sequence=3))

    assert letter.body == Attached(answer=b"redge")
    assert letter.envelope.sender == world.keys["identity"].did
    assert pong.body == Pong(sequence=3)


async def test_a_problem_that_is_reported_is_raised(world: World) -> None:
    """With all that the other service told."""
    identity = Desk(await world.context("identity"))

    async def detach(request: Request[Detach]) -> Detached:
        raise UnknownAgent(request.body.did)

    identity.on(Detach, detach, by=("edge",))
    await identity.open()

    with pytest.raises(RemoteProblem) as caught:
        await ask(await world.context("edge"), "identity", "detach", Detach(did="did:key:x", session="s", edge="e1"))

    assert caught.value.error.problem == "unknown_agent"
    assert caught.value.reporter == world.keys["identity"].did


async def test_nobody_there_is_told_at_once(world: World) -> None:
    """No time-out is waited for."""
    with pytest.raises(NoResponders):
        await ask(await world.context("edge"), "identity", "attach", ATTACH, timeout_seconds=60)


async def test_a_service_that_does_not_answer_times_out(world: World) -> None:
    """After the time that was given."""
    silent = await world.session("identity")

    async def ignore(_: Incoming) -> None:
        pass

    await silent.subscribe(subjects.service("identity", "attach"), ignore)
    await silent.barrier()

    with pytest.raises(RequestTimedOut):
        await ask(await world.context("edge"), "identity", "attach", ATTACH, timeout_seconds=0.2)


async def test_a_service_of_another_world_is_not_asked(world: World) -> None:
    """The directory decides."""
    with pytest.raises(SettingsError):
        await ask(await world.context("edge"), "signaling", "ping", Ping(sequence=1))


@pytest.mark.parametrize(
    ("sender", "addressee", "fields", "error"),
    [
        ("relay", "edge", {}, ForeignSender),
        ("identity", "relay", {}, MalformedEnvelope),
        ("identity", "edge", {"in_reply_to": "another"}, MalformedEnvelope),
        ("identity", "edge", {"now_ms": now_ms() - FRESHNESS_MS - 60_000}, EnvelopeStale),
    ],
    ids=["another service", "another addressee", "another question", "an old answer"],
)
async def test_an_answer_that_proves_nothing_is_not_believed(
    world: World, sender: str, addressee: str, fields: dict[str, object], error: type[AiconexusError]
) -> None:
    """Only the asked service's own, fresh answer to this very question counts."""
    impostor = await world.session("identity")

    async def answer(incoming: Incoming) -> None:
        given = {"in_reply_to": unseal(incoming.data).envelope.id, **fields}
        await impostor.publish(incoming.reply, world.sealed(sender, Attached(answer=b"x"), addressee, **given))

    await impostor.subscribe(subjects.service("identity", "attach"), answer)
    await impostor.barrier()

    with pytest.raises(error):
        await ask(await world.context("edge"), "identity", "attach", ATTACH)
