"""What becomes of mail that a connected recipient reads and never acknowledges, where the operator bounds that."""

import asyncio
import contextlib
from typing import TypeVar

import pytest
from tests.integration.sdk_agents import SECONDS, Host
from tests.integration.strangers import NativeStranger, native, sealed

from aiconexus.bus.clock import new_id
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Ack, Acked, Body, Fetch, Mail, Message, Receipt, ReceiptItem
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.errors import RemoteProblem
from aiconexus.protocol.job_bodies import JobShown, JobState, ShowJob
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import Sealed, unseal
from aiconexus.sdk import Agent, Delivery

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_SECONDS = 3
PLATFORM = {
    "settings": {
        "AICONEXUS_RELAY_ACK_WAIT_SECONDS": str(WAIT_SECONDS),
        "AICONEXUS_RETRY_LOOK_SECONDS": "0.5",
        "AICONEXUS_RETRY_LOOK_MAX_SECONDS": "1",
    },
}
PATIENCE_SECONDS = 45

B = TypeVar("B", bound=Body)


async def ask(agent: NativeStranger, service: str, body: Body, answer: type[B]) -> B:
    """Ask a service."""
    data = sealed(agent.key, body, agent.services[service])
    said = (await agent.ask(service, body.TYPE.lower(), data)).body
    assert isinstance(said, answer), said
    return said


async def entries(agent: NativeStranger) -> list[int]:
    """The places in a mailbox where something lies."""
    return [item.sequence for item in (await ask(agent, "relay", Fetch(), Mail)).items]


async def notices(agent: NativeStranger) -> list[ReceiptItem]:
    """What a sender was told so far."""
    mail = await ask(agent, "relay", Fetch(), Mail)
    bodies = [unseal(Sealed(item.codec, item.payload, item.signature)).body for item in mail.items]
    return [item for body in bodies if isinstance(body, Receipt) for item in body.items]


async def reached(agent: NativeStranger, id_: str, state: JobState) -> JobShown:
    """Wait until the retry service says so of an envelope of ours."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            data = sealed(agent.key, ShowJob(job=f"{agent.key.token}.{id_}"), agent.services["retry"])
            said = (await agent.ask("retry", "job", data)).body
            if isinstance(said, JobShown) and said.card.state is state:
                return said
            await asyncio.sleep(0.1)


async def test_mail_that_is_never_acknowledged_is_given_up_with_notice(platform: Platform) -> None:
    """Who reads and stays silent loses it to retry, which counts, and tells the sender once; who is away does not."""
    url = platform.endpoints().nats
    async with native(url) as alice, native(url) as silent, native(url) as absent:
        heard = await silent.hear(subjects.inbox_mail(silent.key.token))
        await absent.session.close()
        id_ = new_id()
        await alice.say(Message(content="?"), absent.key.did)
        await alice.say(Message(content="?"), silent.key.did, id_=id_)
        async with asyncio.timeout(SECONDS):
            await heard.get()
        dead = await reached(alice, id_, JobState.DEAD)
        told = await notices(alice)
        left = await entries(silent)
        async with native(url, absent.key) as back:
            waiting = await entries(back)

    assert (4, 4, "exhausted") == (dead.card.attempts, dead.card.failures, dead.card.problem)
    assert [(id_, "dead_lettered", "exhausted")] == [(item.id, item.status, item.problem) for item in told]
    assert ([], 1) == (left, len(waiting))
    assert heard.empty()


async def test_late_acknowledgement_counts(platform: Platform) -> None:
    """What is acknowledged before retry has given it up is done, and nobody hears of a failure."""
    url = platform.endpoints().nats
    async with native(url) as alice, native(url) as slow:
        id_ = new_id()
        await alice.say(Message(content="?"), slow.key.did, id_=id_)
        taken = await reached(alice, id_, JobState.PLACED)
        (sequence,) = await entries(slow)
        await ask(slow, "relay", Ack(upto=sequence), Acked)
        done = await reached(alice, id_, JobState.DONE)
        told = await notices(alice)

    assert (2, 1) == (taken.card.attempts, taken.card.failures)
    assert ["timeout", "placed", "done"] == [note.outcome for note in done.history]
    assert [] == told


async def taken_over(sender: Agent, id_: str) -> None:
    """Wait until retry counts an envelope as unacknowledged."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(RemoteProblem):
                shown = await sender.jobs.show(job_of(sender, id_))
                if shown.card.state is JobState.PLACED:
                    return
            await asyncio.sleep(0.1)


def job_of(sender: Agent, id_: str) -> str:
    """The name of the job of an envelope."""
    return f"{sender.did.removeprefix(PREFIX)}.{id_}"


async def test_long_handler_runs_once_and_is_no_failure(host: Host) -> None:
    """A handler that takes longer than the first wait goes on, runs once, and its sender gets `processed` only."""
    runs: list[str] = []
    late = asyncio.Event()
    bob = host.make()

    @bob.on("MESSAGE")
    async def work(delivery: Delivery) -> None:
        runs.append(delivery.id)
        await late.wait()

    await host.open(bob)
    alice = await host.open(host.make("text"))
    sent = await alice.send(bob.did, "slowly")
    await taken_over(alice, sent.id)
    late.set()
    await sent.wait_processed(PATIENCE_SECONDS)

    assert [sent.id] == runs


async def test_failure_after_the_takeover_is_tried_again(host: Host) -> None:
    """A handler that fails while retry has its envelope gives it back, and runs once more for the next attempt."""
    runs: list[str] = []
    late = asyncio.Event()
    bob = host.make()

    @bob.on("MESSAGE", retry=RetryPolicy())
    async def work(delivery: Delivery) -> None:
        runs.append(delivery.id)
        await late.wait()
        if len(runs) == 1:
            raise ValueError("no tea")

    await host.open(bob)
    alice = await host.open(host.make())
    sent = await alice.send(bob.did, "tea")
    await taken_over(alice, sent.id)
    late.set()
    await sent.wait_processed(PATIENCE_SECONDS)
    card = (await alice.jobs.show(job_of(alice, sent.id))).card

    assert [sent.id] * 2 == runs
    assert (3, 2) == (card.attempts, card.failures)
