"""Who gets in over WebSocket, and who does not."""

from typing import Any

import aiohttp
import pytest

from aiconexus.bus.clock import now_ms
from aiconexus.bus.testing import new_key
from aiconexus.edge.testing import BINARY, TEXT
from aiconexus.protocol.bodies import Discover, Error, Message, Register
from aiconexus.protocol.closing import Close
from aiconexus.protocol.did import key_text_of
from aiconexus.protocol.seal import Codec, Sealed, compose, split, unseal, wrap

from .world import Agents, Edge, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

both = pytest.mark.parametrize("protocol", [BINARY, TEXT])


@both
async def test_agent_that_proves_its_key_is_registered(edge: Edge, agents: Agents, protocol: str) -> None:
    """REGISTERED names the session and the limits, and is identity's word to this agent."""
    agent = await agents.stranger(edge, protocol)
    letter = await agent.exchange(agent.registration(name="ada", capabilities=("text.count",)))

    assert ("REGISTERED", agent.services["identity"], agent.did) == (
        letter.envelope.type,
        letter.envelope.sender,
        letter.envelope.recipient,
    )
    assert letter.sealed.codec == agent.codec
    assert letter.body.session.startswith(f"{edge.instance}.")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"challenge": "another"}, ("invalid_signature", Close.INVALID_SIGNATURE)),
        ({"challenge": None}, ("invalid_signature", Close.INVALID_SIGNATURE)),
        ({"public_key": key_text_of(new_key().did)}, ("malformed", Close.MALFORMED)),
    ],
    ids=["foreign nonce", "no nonce", "foreign key"],
)
@both
async def test_wrong_register_is_refused(
    edge: Edge, agents: Agents, protocol: str, fields: dict[str, Any], outcome: tuple[str, Close]
) -> None:
    """A REGISTER that proves nothing gets a sealed ERROR from the edge, and the connection ends with its code."""
    agent = await agents.stranger(edge, protocol)
    letter = await agent.exchange(agent.registration(**fields))

    assert isinstance(letter.body, Error)
    assert agent.services["edge"] == letter.envelope.sender
    assert outcome == (letter.body.problem, (await agent.ending())[0])


async def test_forged_register_is_refused(edge: Edge, agents: Agents) -> None:
    """A REGISTER in the name of another is an invalid signature."""
    agent = await agents.stranger(edge)
    forged = split(agent.registration())
    victim = agent.sealed(Register(public_key="x"), agent.services["identity"], key=new_key())
    answer = await agent.exchange(wrap(Sealed(forged.codec, split(victim).payload, forged.signature)))

    assert isinstance(answer.body, Error)
    assert (answer.body.problem, (await agent.ending())[0]) == ("invalid_signature", Close.INVALID_SIGNATURE)


async def test_replayed_register_is_refused(edge: Edge, agents: Agents) -> None:
    """What was said on one connection proves nothing on another."""
    first = await agents.stranger(edge)
    register = first.registration()
    await first.exchange(register)
    second = await agents.stranger(edge, key=first.key)
    answer = await second.exchange(register)

    assert isinstance(answer.body, Error)
    assert (answer.body.problem, (await second.ending())[0]) == ("invalid_signature", Close.INVALID_SIGNATURE)


async def test_old_register_is_refused(edge: Edge, agents: Agents) -> None:
    """A REGISTER must be fresh, even with the right nonce."""
    agent = await agents.stranger(edge)
    body = Register(public_key=key_text_of(agent.did), challenge=agent.nonce)
    answer = await agent.exchange(agent.sealed(body, agent.services["identity"], now_ms=now_ms() - 120_000))

    assert isinstance(answer.body, Error)
    assert (answer.body.problem, (await agent.ending())[0]) == ("stale", Close.REFUSED)


async def test_first_frame_must_be_register(edge: Edge, agents: Agents) -> None:
    """Whoever begins with something else is told so and shown out."""
    agent = await agents.stranger(edge)
    answer = await agent.ask(Discover(), agent.services["identity"])

    assert isinstance(answer, Error)
    assert (answer.problem, (await agent.ending())[0]) == ("unsupported_type", Close.MALFORMED)


@pytest.mark.parametrize(
    ("protocol", "frame"),
    [(BINARY, b"\xc1\xff\x00"), (BINARY, b""), (TEXT, b'{"id":1}'), (TEXT, b"[" * 2000)],
    ids=["no msgpack", "nothing", "no envelope", "deeply nested"],
)
async def test_garbage_closes_malformed(edge: Edge, agents: Agents, protocol: str, frame: bytes) -> None:
    """What names nobody cannot be answered: the close says it all."""
    agent = await agents.stranger(edge, protocol)
    await (agent.socket.send_bytes(frame) if protocol == BINARY else agent.socket.send_str(frame.decode()))

    assert Close.MALFORMED == (await agent.ending())[0]


@both
async def test_unknown_version_is_told_and_closes_unsupported(edge: Edge, agents: Agents, protocol: str) -> None:
    """An agent of another version of the protocol hears why, as the answer to its REGISTER, and is told to give up."""
    agent = await agents.stranger(edge, protocol)
    register = agent.registration()
    sealed = split(register)
    other = sealed.payload.replace(b"\xa7version\x01", b"\xa7version\x02").replace(b'"1.0"', b'"2.0"')
    letter = await agent.exchange(wrap(Sealed(sealed.codec, other, sealed.signature)))

    assert isinstance(letter.body, Error)
    assert ("unsupported_version", agent.did) == (letter.body.problem, letter.envelope.recipient)
    assert unseal(register).envelope.id == letter.envelope.in_reply_to
    assert Close.UNSUPPORTED == (await agent.ending())[0]


async def test_text_frame_on_the_binary_subprotocol_closes(edge: Edge, agents: Agents) -> None:
    """Each subprotocol has one kind of frame."""
    agent = await agents.stranger(edge)
    await agent.socket.send_str("hello")

    assert Close.MALFORMED == (await agent.ending())[0]


@pytest.mark.parametrize("offered", [[], ["mqtt"], ["ioap.v2", "chat"]])
async def test_unknown_subprotocol_is_refused_over_http(edge: Edge, agents: Agents, offered: list[str]) -> None:
    """No WebSocket is opened for what neither subprotocol is: HTTP 400, and a problem that names ours."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await agents.http.ws_connect(f"{edge.http}/ws", protocols=offered)

    assert 400 == refused.value.status


async def test_subprotocol_can_be_switched_off(world: World, agents: Agents) -> None:
    """An edge speaks only what its settings list."""
    async with world.edge(subprotocols=(TEXT,)) as edge:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await agents.http.ws_connect(f"{edge.http}/ws", protocols=[BINARY])

        assert 400 == refused.value.status
        assert (await agents.agent(edge, TEXT)).did


async def test_register_again_updates_what_is_known(edge: Edge, agents: Agents) -> None:
    """A live connection may register anew, without a nonce, and keeps its session."""
    agent = await agents.stranger(edge)
    first = await agent.register(capabilities=("a",))
    second = await agent.register(capabilities=("b",), challenge=None)
    listed = await agent.ask(Discover(capability="b"), agent.services["identity"])

    assert first.session == second.session
    assert agent.did in {card.did for card in listed.agents}  # type: ignore[attr-defined]


async def test_forged_renewal_is_refused(edge: Edge, agents: Agents) -> None:
    """Nobody registers a foreign key over a live connection, nor the same words twice."""
    agent = await agents.agent(edge)
    again = agent.registration(challenge=None)
    await agent.exchange(again)
    replayed = await agent.exchange(again)
    stranger = new_key()
    body = Register(public_key=key_text_of(stranger.did))
    foreign = await agent.ask(body, agent.services["identity"], key=stranger)

    assert isinstance(replayed.body, Error)
    assert isinstance(foreign, Error)
    assert ("replayed", "foreign_sender") == (replayed.body.problem, foreign.problem)


async def test_codec_of_the_other_subprotocol_is_understood(edge: Edge, agents: Agents) -> None:
    """A binary frame may hold a JSON envelope: the answer then is one, too."""
    agent = await agents.agent(edge)
    data = compose(Message(content=1), agent.key, agent.services["relay"], id_="i-1", now_ms=now_ms(), codec=Codec.JSON)
    answer = await agent.exchange(data)

    assert (Codec.JSON, "i-1") == (answer.sealed.codec, answer.envelope.in_reply_to)
