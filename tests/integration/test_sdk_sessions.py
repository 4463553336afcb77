"""Sessions, presence and live traffic of agents of the SDK."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.sdk_agents import PAIRS, SECONDS, Host, gone, listening

from aiconexus.protocol.bodies import Presence
from aiconexus.protocol.errors import BusUnavailable, Refused, RemoteProblem, TakenOver, UnknownAgent, UnsupportedType
from aiconexus.protocol.limits import WATCH_MAX
from aiconexus.protocol.seal import Codec
from aiconexus.protocol.signal_bodies import Answer, Offer
from aiconexus.sdk import AgentState, Delivery, Identity

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROADS = ("nats", "binary", "text")


@pytest.mark.parametrize("road", ROADS)
async def test_states_are_told(host: Host, road: str) -> None:
    """An agent tells how it comes and goes, and knows its platform."""
    alice = host.make(road)
    states: list[AgentState] = []
    alice.on_state(states.append)
    await host.open(alice)
    platform = alice.platform
    await alice.close()

    assert [AgentState.CONNECTING, AgentState.ONLINE, AgentState.CLOSED] == states
    assert platform is not None
    assert alice.state is AgentState.CLOSED


@pytest.mark.parametrize(("before", "after"), [("nats", "text"), ("binary", "nats"), ("text", "binary")])
async def test_takeover_closes_the_older_session_for_good(host: Host, tmp_path: Path, before: str, after: str) -> None:
    """The same identity elsewhere is the live one now; the older one does not come back."""
    older = await host.open(host.make(before, "alice", state=tmp_path / "older"))
    newer = host.make(after, "alice", state=tmp_path / "newer")
    heard = listening(newer)
    await host.open(newer)
    async with asyncio.timeout(SECONDS):
        with pytest.raises(TakenOver):
            await older.wait_closed()
    bob = await host.open(host.make())
    await bob.send(newer.did, "hello")

    assert AgentState.TAKEN_OVER is older.state
    assert (await heard.next()).content == "hello"
    assert newer.state is AgentState.ONLINE


@pytest.mark.parametrize("road", ROADS)
async def test_watch_tells_who_is_here_and_who_comes_and_goes(host: Host, road: str) -> None:
    """The present state comes first, then every change, signed by the platform."""
    alice, bob = await host.open(host.make(road)), host.make()
    changes = alice.watch([bob.did])
    seen: list[Presence] = []
    async with asyncio.timeout(SECONDS):
        seen.append(await anext(changes))
        await host.open(bob)
        seen.append(await anext(changes))
        await bob.close()
        seen.append(await anext(changes))

    assert [False, True, False] == [change.online for change in seen]
    assert {bob.did} == {change.did for change in seen}


@pytest.mark.parametrize("road", ["nats", "binary"])
async def test_as_many_as_may_be_can_be_watched(host: Host, road: str) -> None:
    """A hundred agents at once cost nobody the connection."""
    alice, bob = await host.open(host.make(road)), host.make()
    states: list[AgentState] = []
    alice.on_state(states.append)
    changes = alice.watch([bob.did, *(Identity.generate().did for _ in range(WATCH_MAX - 1))])
    async with asyncio.timeout(SECONDS):
        await anext(changes)
        await host.open(bob)
        await alice.ping()
        while not (change := await anext(changes)).online:
            pass

    assert bob.did == change.did
    assert [] == states


async def test_unregister_removes_presence_at_once(host: Host) -> None:
    """An agent that leaves on purpose is gone, and stays gone."""
    alice, bob = await host.open(host.make()), await host.open(host.make("text"))
    changes = alice.watch([bob.did])
    async with asyncio.timeout(SECONDS):
        await anext(changes)
        await bob.unregister("tea time")
        change = await anext(changes)

    assert not change.online
    assert bob.state is AgentState.CLOSED
    assert not (await alice.resolve(bob.did)).online


@pytest.mark.parametrize("road", ROADS)
async def test_revoked_key_is_void(host: Host, tmp_path: Path, road: str) -> None:
    """Who revokes its own key is out, and nobody registers under it again."""
    alice = await host.open(host.make("binary", "alice"))
    bob = await host.open(host.make(road))
    await alice.revoke("lost the laptop")
    again = host.make("binary", "alice")

    with pytest.raises(RemoteProblem) as caught:
        await host.open(again)
    assert caught.value.error.problem == "key_revoked"
    assert (await bob.resolve(alice.did)).revoked


async def test_missing_platform_is_said_in_time(host: Host) -> None:
    """Whoever does not want to wait for ever is told what lacks."""
    alice = host.make(url="ws://127.0.0.1:9", connect_timeout=0.3)

    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1"):
        await host.open(alice)
    assert alice.state is AgentState.CLOSED


async def test_other_platform_is_refused(host: Host) -> None:
    """An agent that knows its platform does not talk to another one."""
    alice = host.make("binary", platform=Identity.generate().did)

    with pytest.raises(Refused, match="we trust"):
        await host.open(alice)


async def test_platform_is_pinned_at_the_first_meeting(host: Host, tmp_path: Path) -> None:
    """The journal remembers whom it met."""
    alice = await host.open(host.make("nats", "alice"))
    platform = alice.platform
    await alice.close()
    again = host.make("nats", "alice", url="nats://127.0.0.1:9")
    await again.start()

    assert platform == again.platform
    await again.close()


async def test_two_processes_do_not_share_a_journal(host: Host) -> None:
    """The second one is told, instead of answering twice."""
    await host.open(host.make("nats", "alice"))

    with pytest.raises(Refused, match="another process"):
        await host.open(host.make("nats", "alice"))


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_signals_are_exchanged_live(host: Host, here: str, there: str) -> None:
    """An offer is handed over at once, and the answer finds its way back."""
    bob, alice = host.make(there), host.make(here)

    @bob.on(Offer)
    async def answer(delivery: Delivery) -> None:
        assert isinstance(delivery.body, Offer)
        await bob.signal(delivery.sender, Answer(sdp=delivery.body.sdp + " yes"), in_reply_to=delivery.id)

    heard = listening(alice, "ANSWER")
    await host.open(bob)
    await host.open(alice)
    id_ = await alice.signal(bob.did, Offer(sdp="v=0"))
    answered = await heard.next()

    assert (bob.did, id_) == (answered.sender, answered.envelope.in_reply_to)
    assert Answer(sdp="v=0 yes") == answered.body


async def test_signal_to_an_absent_agent_is_refused_at_once(host: Host) -> None:
    """What is worthless tomorrow is not kept."""
    bob, alice = await host.open(host.make()), await host.open(host.make("text"))
    await gone(bob, alice)

    with pytest.raises(RemoteProblem) as caught:
        await alice.signal(bob.did, Offer(sdp="v=0"))
    assert caught.value.error.code == "UNKNOWN_AGENT"


async def test_card_does_not_change_what_a_road_writes(host: Host) -> None:
    """An agent that speaks JSON writes JSON, also to one that it has looked up and that could read more."""
    alice, bob = await host.open(host.make("text")), await host.open(host.make())
    await alice.resolve(bob.did)

    assert Codec.JSON is alice._open.discovery.guess_codec(bob.did)


async def test_mail_is_no_signal(host: Host) -> None:
    """What belongs into a mailbox does not travel live."""
    alice = await host.open(host.make())

    with pytest.raises(UnsupportedType):
        await alice.signal(alice.did, Presence(did=alice.did, online=True, at_ms=1))


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_ping_measures_the_way(host: Host, here: str, there: str) -> None:
    """The platform and other agents answer, and it takes some time."""
    alice, bob = await host.open(host.make(here)), await host.open(host.make(there))

    assert 0 < await alice.ping() < SECONDS
    assert 0 < await alice.ping(bob.did) < SECONDS


async def test_unknown_card_is_said(host: Host) -> None:
    """Nobody is found where nobody is."""
    alice = await host.open(host.make())

    with pytest.raises(UnknownAgent):
        await alice.resolve(Identity.generate().did)
