"""Envelopes that must not pass: refused with their code on both roads and in both codecs, and counted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import pytest
import pytest_asyncio
from tests.integration.forgeries import FORGERIES, Forger, mail
from tests.integration.measuring import Meter
from tests.integration.processes import PAUSE_MAX_SECONDS, Traffic
from tests.integration.strangers import NativeStranger, native, sealed, websocket

from aiconexus.bus.testing import new_key
from aiconexus.cli.platform import Platform
from aiconexus.edge.testing import BINARY, TEXT
from aiconexus.protocol.bodies import Error, Fetch, Mail, Message, Receipt
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Codec, Letter, Sealed, unseal

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("bystanders")]

Offer = Callable[[bytes], Awaitable[Letter]]
"""Hands bytes to the platform as mail, and brings its answer."""


@asynccontextmanager
async def on_nats(platform: Platform, key: SigningKey) -> AsyncIterator[Offer]:
    """Over a NATS connection of its own."""
    async with native(platform.endpoints().nats, key) as stranger:
        yield lambda data: stranger.ask("relay", "submit", data)


@asynccontextmanager
async def on_binary(platform: Platform, key: SigningKey) -> AsyncIterator[Offer]:
    """Over a WebSocket with binary frames."""
    async with websocket(platform.endpoints().ws, key, protocol=BINARY) as stranger:
        yield stranger.exchange


@asynccontextmanager
async def on_text(platform: Platform, key: SigningKey) -> AsyncIterator[Offer]:
    """Over a WebSocket with text frames."""
    async with websocket(platform.endpoints().ws, key, protocol=TEXT) as stranger:
        yield stranger.exchange


class Way(NamedTuple):
    """A road, and the codec that is written on it."""

    open: Callable[[Platform, SigningKey], AbstractAsyncContextManager[Offer]]
    codec: Codec


@pytest.fixture(
    params=[
        pytest.param(Way(on_nats, Codec.MSGPACK), id="nats-msgpack"),
        pytest.param(Way(on_nats, Codec.JSON), id="nats-json"),
        pytest.param(Way(on_binary, Codec.MSGPACK), id="binary-msgpack"),
        pytest.param(Way(on_binary, Codec.JSON), id="binary-json"),
        pytest.param(Way(on_text, Codec.JSON), id="text-json"),
    ]
)
def way(request: pytest.FixtureRequest) -> Way:
    """Every way by which mail can be handed over."""
    found: Way = request.param
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(platform: Platform) -> AsyncIterator[NativeStranger]:
    """Somebody with a mailbox."""
    async with native(platform.endpoints().nats) as stranger:
        yield stranger


@pytest.mark.parametrize("forgery", FORGERIES.items(), ids=[forger.__name__ for forger in FORGERIES])
async def test_forgery_is_refused_and_counted(
    platform: Platform, meter: Meter, victim: NativeStranger, way: Way, forgery: tuple[Forger, str]
) -> None:
    """An envelope that must not pass is answered with its code, counted under its name, and stored nowhere."""
    forger, problem = forgery
    key = new_key()
    before = await meter.problems(problem)
    async with way.open(platform, key) as offer:
        answer = await offer(forger(key, victim.key.did, way.codec))

    assert isinstance(answer.body, Error)
    assert problem == answer.body.problem
    assert before < await meter.problems(problem)


async def test_honest_envelope_passes_the_same_way(platform: Platform, victim: NativeStranger, way: Way) -> None:
    """The envelope that the forgeries are made from is stored: they are refused for what is wrong with them."""
    key = new_key()
    async with way.open(platform, key) as offer:
        answer = await offer(mail(key, victim.key.did, way.codec))

    assert isinstance(answer.body, Receipt)


async def test_nothing_of_it_was_stored(victim: NativeStranger) -> None:
    """The victim's mailbox holds what the honest ones sent, and nothing else."""
    page = sealed(victim.key, Fetch(), victim.services["relay"])
    answer = (await victim.ask("relay", "fetch", page)).body

    assert isinstance(answer, Mail)
    assert {Message(content="hello")} >= {unseal(Sealed(i.codec, i.payload, i.signature)).body for i in answer.items}


async def test_honest_agents_were_not_disturbed(bystanders: Traffic) -> None:
    """All the while honest mail was accepted and processed: all of it, once, in order, without a long pause."""
    verdict = await bystanders.settle()

    assert {} == verdict.violations
    assert 0 < verdict.attempted == verdict.processed
    assert PAUSE_MAX_SECONDS > max(verdict.producer_gap_seconds, verdict.consumer_gap_seconds)
