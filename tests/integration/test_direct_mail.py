"""Mail keeps its promises whatever becomes of the pipes under it; the lines of these pipes are ours to cut."""

import asyncio
import random
from collections import deque

import pytest
from tests.integration.sdk_agents import SECONDS, Host, listening

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.sdk import Agent, Delivery, Notice
from aiconexus.sdk.direct.mail import Mail

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGES = 240
QUEUED, FOLLOWING = 900, 500
"""More than a new pipe takes along, and than its recipient has room for; and what comes after it."""
WORK_SECONDS = 0.008


class End:
    """One end of a line: a pipe in order, that delivers, holds back for a while, or is dead."""

    road = "direct"
    buffered_amount = 0

    def __init__(self, did: str, session: str, mail: Mail) -> None:
        self.did = did
        self.session = session
        self.is_open = True
        self.is_held = False
        self.carried = 0
        self._mail = mail
        self._frames: deque[bytes | str] = deque()
        self.other: End

    def send(self, frame: bytes | str) -> None:
        """Hand a frame to the other end, at once or once the line lets it through."""
        if not self.is_open:
            raise ChannelClosed("aiconexus")
        self.carried += 1
        self._frames.append(frame)
        self._flow()

    def hold(self) -> None:
        """Let nothing through."""
        self.is_held = True

    def heal(self) -> None:
        """Let everything through that was held back."""
        self.is_held = False
        self._flow()

    def die(self) -> None:
        """Lose what was held back, and everything from now on."""
        self.is_open = False
        self._frames.clear()

    def _flow(self) -> None:
        asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._frames and not self.is_held and self.is_open:
            self.other._mail.frame(self.other, self._frames.popleft())

    def attach(self) -> None:
        """Let mail use this end."""
        self._mail.attach(self)

    def detach(self) -> None:
        """Let mail use it no more."""
        self._mail.detach(self.did, self.session)


def mail_of(agent: Agent) -> Mail:
    """The mail of a running agent."""
    return agent._open.mail


def line_between(one: Agent, other: Agent, session: str) -> tuple[End, End]:
    """A line that both ends know, used by none yet."""
    ends = End(other.did, session, mail_of(one)), End(one.did, session, mail_of(other))
    ends[0].other, ends[1].other = ends[1], ends[0]
    return ends


class Weather:
    """
    What becomes of lines, by a seed.

    Args:
        one: An agent.
        other: The other.
        seed: Of the chance.

    """

    def __init__(self, one: Agent, other: Agent, seed: int) -> None:
        self._agents = one, other
        self._random = random.Random(seed)
        self._lines: list[tuple[End, End]] = []

    def change(self) -> None:
        """Let something happen."""
        self._random.choice((self._begin, self._begin, self._hold, self._heal, self._detach, self._back, self._die))()

    def clear(self) -> None:
        """Let everything through, so that nothing is left on the way."""
        for end in self._ends():
            end.heal()

    @property
    def carried(self) -> int:
        """Frames of all lines."""
        return sum(end.carried for end in self._ends())

    def _begin(self) -> None:
        line = line_between(*self._agents, f"s-{len(self._lines)}")
        self._lines.append(line)
        for end in self._shuffled(line):
            end.attach()

    def _hold(self) -> None:
        if self._lines:
            self._random.choice(self._ends()).hold()

    def _heal(self) -> None:
        for end in self._ends():
            end.heal()

    def _detach(self) -> None:
        if self._lines:
            self._random.choice(self._ends()).detach()

    def _back(self) -> None:
        if self._lines:
            self._random.choice(self._ends()[-2:]).attach()

    def _die(self) -> None:
        if self._lines:
            line = self._random.choice(self._lines)
            for end in self._shuffled(line):
                end.die()
            for end in self._shuffled(line):
                end.detach()

    def _ends(self) -> list[End]:
        return [end for line in self._lines for end in line]

    def _shuffled(self, line: tuple[End, End]) -> list[End]:
        return self._random.sample(line, 2)


async def test_pipe_carries_and_relay_hears_nothing_of_it(host: Host) -> None:
    """With a pipe an envelope is taken, handled and receipted without ever lying in the mailbox."""
    bob = host.make()
    heard = listening(bob)
    await host.open(bob)
    alice = host.make()
    notices: list[Notice] = []
    alice.on_receipt(notices.append)
    await host.open(alice)
    for end in (line := line_between(alice, bob, "s-1")):
        end.attach()
    sents = [await alice.send(bob.did, number) for number in range(200)]
    contents = await heard.contents(200)
    for sent in sents:
        await sent.wait_processed(SECONDS)

    assert contents == list(range(200))
    assert {sent.road for sent in sents} == {"direct"}
    assert {notice.road for notice in notices if notice.status == "stored"} == {"direct"}
    assert bob.counts.read == 0
    assert line[0].carried >= 200


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dialect", ["nats", "text"])
async def test_nothing_is_lost_doubled_or_overtaken_in_any_weather(host: Host, dialect: str, seed: int) -> None:
    """Lines come, stall, come back, are replaced and die under traffic both ways: each arrives once and in order."""
    alice, bob = host.make(dialect), host.make()
    heard = {alice.did: listening(bob), bob.did: listening(alice)}
    await host.open(alice)
    await host.open(bob)
    weather = Weather(alice, bob, seed)
    sents = []
    for number in range(MESSAGES):
        sents.append(await alice.send(bob.did, number, timeout=0))
        sents.append(await bob.send(alice.did, number, timeout=0))
        if number % 8 == seed:
            weather.change()
            await asyncio.sleep(0)
        if number % 60 == 59:
            weather.clear()
            await sents[number].wait_processed(SECONDS)
    weather.clear()
    contents = {did: await each.contents(MESSAGES) for did, each in heard.items()}
    for sent in sents:
        await sent.wait_processed(SECONDS)

    assert contents == {alice.did: list(range(MESSAGES)), bob.did: list(range(MESSAGES))}
    assert all(each.is_quiet for each in heard.values())
    assert weather.carried > 0


async def test_what_the_retry_service_may_get_goes_by_mailbox(host: Host) -> None:
    """A handler with a policy needs the mailbox, which counts attempts; the sender sees to it by itself."""
    bob = host.make()
    tries: list[str] = []
    done = asyncio.Event()

    @bob.on("MESSAGE", retry=RetryPolicy(max_retries=3, initial_delay_seconds=0.05))
    async def fail_once(delivery: Delivery) -> None:
        tries.append(delivery.id)
        if len(tries) == 1:
            raise ConnectionError
        done.set()

    await host.open(bob)
    alice = await host.open(host.make())
    for end in line_between(alice, bob, "s-1"):
        end.attach()
    sent = await alice.send(bob.did, "twice")
    async with asyncio.timeout(SECONDS):
        await done.wait()
    await sent.wait_processed(SECONDS)

    assert tries == [sent.id, sent.id]
    assert sent.road == "relay"


async def test_slow_handler_slows_its_sender(host: Host) -> None:
    """A peer whose handlers do not keep up takes no more than it can hold; nothing of the rest is lost."""
    bob = host.make()
    gate = asyncio.Event()
    seen: list[int] = []
    full = asyncio.Event()

    @bob.on("MESSAGE")
    async def wait(delivery: Delivery) -> None:
        await gate.wait()
        seen.append(delivery.content)
        if len(seen) == 600:
            full.set()

    await host.open(bob)
    alice = await host.open(host.make())
    line = line_between(alice, bob, "s-1")
    for end in line:
        end.attach()
    sents = [await alice.send(bob.did, number, timeout=0) for number in range(600)]
    await sents[200].wait_stored(SECONDS)
    carried = line[0].carried
    gate.set()
    async with asyncio.timeout(SECONDS):
        await full.wait()
    for sent in sents:
        await sent.wait_processed(SECONDS)

    assert carried <= 330
    assert seen == list(range(600))


async def test_long_queue_at_the_relay_is_not_overtaken(host: Host) -> None:
    """However long a recipient works on what came through the mailbox, a new pipe carries nothing ahead of it."""
    bob = host.make()
    handled: list[int] = []
    done = asyncio.Event()

    @bob.on("MESSAGE")
    async def work(delivery: Delivery) -> None:
        await asyncio.sleep(WORK_SECONDS)
        handled.append(delivery.content)
        if len(handled) == QUEUED + FOLLOWING:
            done.set()

    await host.open(bob)
    alice = await host.open(host.make())
    queued = [await alice.post(bob.did, number, timeout=0) for number in map(said, range(QUEUED))]
    await queued[-1].wait_stored(SECONDS)
    for end in line_between(alice, bob, "s1"):
        end.attach()
    for number in range(QUEUED, QUEUED + FOLLOWING):
        await alice.post(bob.did, said(number), timeout=0)
        await asyncio.sleep(WORK_SECONDS)
    async with asyncio.timeout(60):
        await done.wait()

    assert list(range(QUEUED + FOLLOWING)) == handled


def said(number: int) -> Message:
    """A number as mail."""
    return Message(content=number)
