"""Signals through two replicas, on every road; the TURN servers that agents are told of; what agents report."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aioice import turn
from tests.integration.forgeries import resealed
from tests.integration.measuring import Meter
from tests.integration.sdk_agents import PAIRS, SECONDS, Host, gone, host_of
from tests.integration.strangers import native, sealed
from tests.turn.coturn import SECRET, Coturn, lacking

from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Error, Policy
from aiconexus.protocol.errors import BusError, RemoteProblem
from aiconexus.protocol.signal_bodies import Bye, IceCandidate, IceServers, Incident, ListServers, Noted, Offer
from aiconexus.sdk import Agent, Delivery

PLATFORM = {
    "scale": {"signaling": 2, "edge": 2},
    "settings": {"AICONEXUS_SIGNALING_SENDER_RATE_PER_SECOND": "50", "AICONEXUS_SIGNALING_SENDER_BURST": "100"},
}
QUICK = {"PROBE_SECONDS": "0.2", "PROBE_AGAIN_SECONDS": "0.1", "BREAKER_SECONDS": "0.2", "BREAKER_MAX_SECONDS": "0.5"}
CANDIDATES = 20
POLL_SECONDS = 0.1

pytestmark = pytest.mark.asyncio(loop_scope="module")
needs_coturn = pytest.mark.skipif(bool(lacking()), reason=lacking() or "it is there")


def noting(agent: Agent) -> list[str]:
    """What an agent hears, in a word each."""
    heard: list[str] = []

    async def note(delivery: Delivery) -> None:
        body = delivery.body
        heard.append(body.candidate if isinstance(body, IceCandidate) else delivery.type)

    for type_ in (Offer, IceCandidate, Bye):
        agent.on(type_)(note)
    return heard


async def negotiation(agent: Agent, did: str) -> None:
    """An offer, its candidates, and the end: each after the one before was delivered."""
    await agent.signal(did, Offer(sdp="v=0", session="s"))
    for number in range(CANDIDATES):
        await agent.signal(did, IceCandidate(candidate=str(number), session="s"))
    await agent.signal(did, Bye(session="s"))


async def until_heard(heard: list[str], count: int) -> None:
    """Wait for so many."""
    async with asyncio.timeout(SECONDS):
        while len(heard) < count:
            await asyncio.sleep(POLL_SECONDS)


async def servers_of(agent: Agent) -> IceServers:
    """What signaling names."""
    return await agent._open.link.services.ask("signaling", ListServers(), IceServers)


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_signals_arrive_in_order_through_any_replica(host: Host, here: str, there: str) -> None:
    """A candidate does not overtake its offer, whichever replica each of them comes to."""
    bob, alice = host.make(there), host.make(here)
    heard = noting(bob)
    await host.open(bob)
    await host.open(alice)
    await negotiation(alice, bob.did)
    await until_heard(heard, CANDIDATES + 2)

    assert ["OFFER", *(str(number) for number in range(CANDIDATES)), "BYE"] == heard


@pytest.mark.parametrize("dialect", ["nats", "binary", "text"])
async def test_signals_go_on_when_a_replica_dies(platform: Platform, host: Host, dialect: str) -> None:
    """One is killed: what it had in hand may be lost with notice, and everything after goes through the other."""
    bob, alice = host.make("nats"), host.make(dialect)
    heard = noting(bob)
    await host.open(bob)
    await host.open(alice)
    await alice.signal(bob.did, Offer(sdp="v=0", session="s"))
    await platform.kill("signaling-2")
    delivered, lost = ["OFFER"], 0
    for number in range(CANDIDATES):
        try:
            await alice.signal(bob.did, IceCandidate(candidate=str(number), session="s"))
            delivered.append(str(number))
        except (BusError, RemoteProblem):
            lost += 1
    await until_heard(heard, len(delivered))
    await platform.restart("signaling-2")

    assert delivered == [word for word in heard if word in delivered]
    assert lost <= 1


async def test_an_absent_agent_is_told_at_once(host: Host) -> None:
    """Nobody waits for who is offline, or never was."""
    bob, alice = await host.open(host.make("binary")), await host.open(host.make("nats"))
    await gone(bob, alice)
    problems = []
    for did in (bob.did, host.make().did):
        with pytest.raises(RemoteProblem) as caught:
            await alice.signal(did, Offer(sdp="v=0"))
        problems.append(caught.value.error.problem)

    assert ["unknown_agent", "unknown_agent"] == problems


async def test_a_recipient_that_lists_its_callers_refuses_others(host: Host) -> None:
    """An unlisted offer is refused by policy; the candidate of an answer to one's own offer comes through."""
    alice = await host.open(host.make("text"))
    bob = await host.open(host.make("binary", policy=Policy.LISTED))
    with pytest.raises(RemoteProblem) as caught:
        await alice.signal(bob.did, Offer(sdp="v=0"))
    await alice.signal(bob.did, IceCandidate(candidate=""), in_reply_to="the-offer")

    assert "refused" == caught.value.error.problem


async def test_who_signals_too_much_is_told_to_wait(host: Host) -> None:
    """The budget of a sender ends; that of others does not."""
    bob, alice, carol = [await host.open(host.make(dialect)) for dialect in ("nats", "nats", "text")]
    outcomes = await asyncio.gather(
        *(alice.signal(bob.did, IceCandidate(candidate="x")) for _ in range(300)), return_exceptions=True
    )
    refused = [outcome.error for outcome in outcomes if isinstance(outcome, RemoteProblem)]
    other = await carol.signal(bob.did, IceCandidate(candidate="y"))

    assert {("rate_limited", True)} == {(error.problem, error.retryable) for error in refused}
    assert other


async def test_forged_signals_are_refused(platform: Platform, host: Host, meter: Meter) -> None:
    """Neither in a foreign name, nor altered, nor twice."""
    bob = host.make("nats")
    heard = noting(bob)
    await host.open(bob)
    before = await meter.security("foreign_sender")
    async with native(platform.endpoints().nats) as mallory, native(platform.endpoints().nats) as victim:
        offer = sealed(mallory.key, Offer(sdp="v=0"), bob.did)
        stolen = sealed(victim.key, Offer(sdp="v=0"), bob.did)
        attempts = [stolen, resealed(mallory.key, offer, from_=victim.key.did), offer[:-1] + bytes([offer[-1] ^ 1])]
        answers = [(await mallory.ask("signaling", "forward", data)).body for data in attempts]
    problems = [answer.problem for answer in answers if isinstance(answer, Error)]

    assert ["foreign_sender", "foreign_sender", "invalid_signature"] == problems
    assert before + 2 == await meter.security("foreign_sender")
    assert [] == heard


@pytest.mark.parametrize("dialect", ["nats", "binary", "text"])
async def test_incidents_are_noted_on_every_road(host: Host, meter: Meter, dialect: str) -> None:
    """What an agent reports is counted, whichever way it came."""
    name = "aiconexus_signaling_incidents_total"
    alice = await host.open(host.make(dialect))
    before = await meter.count("signaling", name, event="hello_invalid")
    report = Incident(event="hello_invalid", peer=alice.did, session="s")
    noted = await alice._open.link.services.ask("signaling", report, Noted)

    assert Noted(event="hello_invalid") == noted
    assert before + 1 == await meter.count("signaling", name, event="hello_invalid")


@pytest.mark.parametrize("dialect", ["nats", "binary", "text"])
async def test_without_servers_there_are_none(host: Host, dialect: str) -> None:
    """Where nobody runs one, agents are told so and do not wait."""
    assert () == (await servers_of(await host.open(host.make(dialect)))).servers


@pytest_asyncio.fixture(loop_scope="module")
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    """A TURN server of the operator's."""
    async with Coturn(tmp_path / "coturn") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def served(coturn: Coturn, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform that names this server, by three ways and as STUN server, and one that never was."""
    secret = tmp_path / "turn.secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    settings = {
        **QUICK,
        "TURN_URLS": ",".join([*map(coturn.url, ("udp", "tcp", "tls")), "turn:127.0.0.1:1?transport=tcp"]),
        "STUN_URLS": f"stun:127.0.0.1:{coturn.ports.plain}",
        "TURN_SECRET_FILE": str(secret),
        "TURN_AUTHORITIES_FILE": str(coturn.authority),
        "QUESTION_BURST": "1000",
    }
    variables = {f"AICONEXUS_SIGNALING_{name}": text for name, text in settings.items()}
    async with Platform(tmp_path / "home", scale={"signaling": 2}, settings=variables) as platform:
        yield platform


async def allocate(server: Coturn, transport: str, username: str, credential: str) -> None:
    """Have an allocation made and released."""
    tls = transport == "tls"
    async with asyncio.timeout(SECONDS):
        made, _ = await turn.create_turn_endpoint(
            asyncio.DatagramProtocol,
            (server.host, server.ports.tls if tls else server.ports.plain),
            username,
            credential,
            transport="udp" if transport == "udp" else "tcp",
            ssl=ssl.create_default_context(cafile=server.authority) if tls else False,
        )
        made.close()


@needs_coturn
async def test_issued_logins_allocate_until_the_server_is_gone(
    coturn: Coturn, served: Platform, tmp_path: Path
) -> None:
    """What is named works, over UDP, TCP and TLS; a server that dies is named no more, and again when it is back."""
    async with host_of(served, tmp_path) as host:
        agents = [await host.open(host.make(dialect)) for dialect in ("nats", "binary", "text")]
        named = [await servers_of(agent) for agent in agents]
        for servers, transport in zip(named, ("udp", "tcp", "tls"), strict=True):
            found = next(server for server in servers.servers if server.urls == (coturn.url(transport),))
            await allocate(coturn, transport, found.username or "", found.credential or "")
        await coturn.kill()
        async with asyncio.timeout(SECONDS):
            while (await servers_of(agents[0])).servers:
                await asyncio.sleep(POLL_SECONDS)
        await coturn.start()
        async with asyncio.timeout(SECONDS):
            while len((await servers_of(agents[0])).servers) < 4:
                await asyncio.sleep(POLL_SECONDS)

    assert [4, 4, 4] == [len(servers.servers) for servers in named]
    assert 3 == len({server.username for servers in named for server in servers.servers if server.username})
