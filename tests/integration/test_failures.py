"""What fails is tried again by whoever is in charge, and ends either well or as a dead letter with notice."""

import asyncio
import random
import sys
from collections import Counter
from typing import Any

import pytest
from tests.integration.lossy import lossy
from tests.integration.sdk_agents import SECONDS, Host, listening
from tests.integration.strangers import NativeStranger, native, sealed

from aiconexus.bus.clock import now_ms
from aiconexus.cli.platform import Platform
from aiconexus.protocol.bodies import Message, ReceiptStatus
from aiconexus.protocol.errors import AiconexusError, EnvelopeTooLarge, Refused, RemoteProblem
from aiconexus.protocol.job_bodies import JobShown, JobState, Schedule, Scheduled, ShowJob
from aiconexus.sdk import Agent, Delivery, Notice, RetryPolicy

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLATFORM = {"settings": {"AICONEXUS_RETRY_LOOK_SECONDS": "0.5", "AICONEXUS_RETRY_LOOK_MAX_SECONDS": "2"}}

UNKNOWN = "unknown_agent"
QUICK = RetryPolicy(max_retries=3, initial_delay_seconds=0.1, max_delay_seconds=0.5)


class Flaky:
    """A handler that fails so often at each content."""

    def __init__(self, agent: Agent, failures: int, error: Exception | None = None) -> None:
        self.runs: Counter[Any] = Counter()
        self.failures = failures
        self._error = error or ValueError("not yet")
        agent.on("MESSAGE", retry=QUICK)(self.handle)

    async def handle(self, delivery: Delivery) -> None:
        """Be the handler."""
        self.runs[delivery.content] += 1
        if self.runs[delivery.content] <= self.failures:
            raise self._error


@pytest.mark.parametrize("there", ["nats", "binary", "text"])
async def test_handler_gets_it_again(host: Host, there: str) -> None:
    """What a handler fails at comes again until it succeeds, one run for each attempt; others do not wait for it."""
    bob = host.make(there)
    flaky = Flaky(bob, 2)
    await host.open(bob)
    alice = await host.open(host.make())
    sents = [await alice.send(bob.did, number) for number in range(3)]
    for sent in sents:
        await sent.wait_processed(SECONDS)

    assert {0: 3, 1: 3, 2: 3} == flaky.runs
    assert alice.dead_letters() == []


async def test_entries_of_one_envelope_are_one_attempt(host: Host, platform: Platform) -> None:
    """Where the retry service has placed again what still lay there, a run that fails counts as its attempt."""
    async with host.make(label="bob"):
        pass
    bob = host.make(label="bob")
    flaky = Flaky(bob, 1)
    async with native(platform.endpoints().nats) as alice, asyncio.timeout(SECONDS):
        letter = sealed(alice.key, Message(content="twice"), bob.did)
        question = Schedule(envelope=letter, policy=QUICK)
        await alice.ask("relay", "submit", letter)
        scheduled = await alice.ask("retry", "schedule", sealed(alice.key, question, alice.services["retry"]))
        assert isinstance(scheduled.body, Scheduled)
        show = ShowJob(job=scheduled.body.job)
        await reach(alice, show, JobState.PLACED)
        await host.open(bob)
        await reach(alice, show, JobState.DONE)

    assert {"twice": 2} == flaky.runs


async def reach(alice: NativeStranger, show: ShowJob, wanted: JobState) -> None:
    """Ask for a job until it stands so."""
    state = None
    while state is not wanted:
        shown = (await alice.ask("retry", "job", sealed(alice.key, show, alice.services["retry"]))).body
        assert isinstance(shown, JobShown)
        state = shown.card.state


async def test_given_up_is_told_and_may_be_sent_again(host: Host) -> None:
    """The retry service signs that it gave up; an operator's second chance may still bring it to a good end."""
    bob = host.make()
    flaky = Flaky(bob, 4)
    await host.open(bob)
    alice = host.make("binary")
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    alice.on_receipt(notices.put_nowait)
    await host.open(alice)
    sent = await alice.send(bob.did, "hard")
    with pytest.raises(RemoteProblem) as caught:
        await sent.wait_processed(SECONDS)
    listed = [card async for card in alice.jobs.dead_letters()]
    dead = [row.id for row in alice.dead_letters()]
    (card,) = listed
    shown = await alice.jobs.show(card.job)
    await alice.jobs.requeue(card.job)
    async with asyncio.timeout(SECONDS):
        while (await notices.get()).status is not ReceiptStatus.PROCESSED:
            pass

    assert caught.value.reporter == alice._open.link.services.did_of("retry")
    assert "exhausted" == caught.value.error.problem
    assert [sent.id] == dead
    assert (bob.did, 4) == (card.recipient, card.failures)
    assert any("not yet" in (line.message or "") for line in shown.history)
    assert {"hard": 5} == flaky.runs
    assert alice.dead_letters() == []


async def test_hopeless_failure_is_a_dead_letter_at_once(host: Host) -> None:
    """An error that says of itself that another attempt makes no sense gets none."""
    bob = host.make()
    flaky = Flaky(bob, 9, Refused("not mine"))
    await host.open(bob)
    alice = await host.open(host.make())
    sent = await alice.send(bob.did, "wrong")

    with pytest.raises(RemoteProblem) as caught:
        await sent.wait_processed(SECONDS)
    assert "refused" == caught.value.error.problem
    assert {"wrong": 1} == flaky.runs


async def test_call_waits_for_another_attempt(host: Host) -> None:
    """A capability may be tried again, too, while its caller waits."""
    bob = host.make("text")
    runs: list[int] = []

    @bob.capability("flaky", retry=QUICK)
    async def work(args: dict[str, Any]) -> int:
        runs.append(1)
        if len(runs) < 3:
            raise ConnectionError("my own service is away")
        return len(runs) * int(args["n"])

    await host.open(bob)
    alice = await host.open(host.make())

    assert 30 == await alice.call(bob.did, capability="flaky", args={"n": 10}, timeout=SECONDS)


async def test_delivery_may_be_left_to_the_retry_service(host: Host) -> None:
    """Whom the relay does not know yet gets it once it does; nobody but the retry service tries."""
    bob = host.make("binary")
    heard = listening(bob)
    alice = await host.open(host.make())
    policy = RetryPolicy(
        max_retries=100, initial_delay_seconds=0.2, max_delay_seconds=0.2, retryable=("unknown_agent",)
    )
    sent = await alice.send(bob.did, "welcome", retry=policy)
    (job,) = [card async for card in alice.jobs.list(recipient=bob.did, sender=alice.did)]
    await host.open(bob)
    await sent.wait_processed(SECONDS)

    assert "welcome" == (await heard.next()).content
    assert heard.is_quiet
    assert job.job.endswith(sent.id)
    assert job.state in (JobState.WAITING, JobState.PLACED)


async def test_delivery_may_be_put_off(host: Host) -> None:
    """What is due later does not come before."""
    bob = host.make()
    heard = listening(bob)
    await host.open(bob)
    alice = await host.open(host.make("text"))
    due_ms = now_ms() + 1_000
    await alice.send(bob.did, "later", retry=QUICK, not_before_ms=due_ms)

    assert "later" == (await heard.next()).content
    assert now_ms() >= due_ms - 250


async def test_what_the_retry_service_cannot_carry_is_said_at_once(host: Host) -> None:
    """An envelope that does not fit into another one is refused before anything is sent."""
    alice = await host.open(host.make())

    with pytest.raises(EnvelopeTooLarge):
        await alice.send(alice.did, "x" * 65_000, retry=QUICK)
    assert [] == [card async for card in alice.jobs.list()]


# Row 78

FAILS, LOSES = 0.3, 0.3
SENDERS, RECIPIENTS = 4, 6
DEADLINE_SECONDS = 30.0
WAYS = ("call", "send", "schedule")
STUBBORN = RetryPolicy(max_retries=8, initial_delay_seconds=0.2, max_delay_seconds=2.0)


async def test_accepted_requests_end_under_failures(
    host: Host, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    """With callees that fail and links that lose 30 % each, all end well or as dead letters with notice."""
    dice = random.Random(78)
    runs: Counter[str] = Counter()

    def unreliable(number: int, url: str) -> Agent:
        agent = host.make(("binary", "text")[number % 2], url=url)

        async def work(said: Any) -> None:
            runs[said.content if isinstance(said, Delivery) else said["id"]] += 1
            if dice.random() < FAILS:
                raise ConnectionError("out of order")

        agent.on("MESSAGE", retry=STUBBORN)(work)
        agent.capability("work", retry=STUBBORN)(work)
        return agent

    async with lossy(platform.endpoints().ws, LOSES, cut=0.9, seed=78) as link:
        recipients = [await host.open(unreliable(number, link.url)) for number in range(RECIPIENTS)]
        senders = [
            await host.open(host.make(("text", "binary")[number % 2], url=link.url)) for number in range(SENDERS)
        ]
        ends = await asyncio.gather(
            *(
                one(way, sender, recipient.did, f"{s}-{r}-{n}")
                for s, sender in enumerate(senders)
                for r, recipient in enumerate(recipients)
                for n, way in enumerate(WAYS)
            )
        )
        await host.close()

    outcomes = Counter(end for end, _ in ends)
    in_time = sum(end == "processed" and seconds <= DEADLINE_SECONDS for end, seconds in ends) / len(ends)
    report = f"{dict(outcomes)}, {in_time:.1%} within {DEADLINE_SECONDS:g} s; lost {link}"
    with capsys.disabled():
        sys.stdout.write(f"\n{report}\n")

    assert {"processed", "dead_lettered"} >= set(outcomes)
    assert SENDERS * RECIPIENTS * len(WAYS) == outcomes.total() == len(runs)
    assert link.share > LOSES - 0.05
    assert in_time >= 0.95


async def one(way: str, sender: Agent, did: str, id_: str) -> tuple[str, float]:
    """Call, send, or leave it to the retry service; how it ended, and how long that took once it was accepted."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        if way == "call":
            await sender.call(did, capability="work", args={"id": id_}, timeout=4 * DEADLINE_SECONDS)
        else:
            sent = await sender.send(did, id_, timeout=None, retry=STUBBORN if way == "schedule" else None)
            began = loop.time()
            await sent.wait_processed(4 * DEADLINE_SECONDS)
    except RemoteProblem as error:
        return "dead_lettered" if error.reporter != did else error.error.problem, loop.time() - began
    except AiconexusError as error:
        return type(error).__name__, loop.time() - began
    return "processed", loop.time() - began
