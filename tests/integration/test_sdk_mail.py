"""Mail between agents of the SDK, on every road and between them."""

import asyncio
import threading
from pathlib import Path

import pytest
from tests.integration.sdk_agents import PAIRS, SECONDS, Host, listening
from tests.integration.strangers import native

from aiconexus.bus.clock import new_id
from aiconexus.cli.platform import Platform
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Error, Intent, Message, Policy, Receipt, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.errors import EnvelopeTooLarge, RemoteProblem
from aiconexus.protocol.seal import unseal
from aiconexus.sdk import Delivery, Identity, Notice

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("here", "there"), PAIRS)
async def test_message_is_stored_handled_and_receipted(host: Host, here: str, there: str) -> None:
    """Send returns when it is stored, the handler gets what was said, and its end is signed by the recipient."""
    bob = host.make(there)
    heard = listening(bob)
    await host.open(bob)
    alice = await host.open(host.make(here))
    sent = await alice.send(bob.did, {"tea": ["green", 1.5, None, "ö"]}, thread="breakfast")
    delivery = await heard.next()
    await sent.wait_processed(SECONDS)

    assert {"tea": ["green", 1.5, None, "ö"]} == delivery.content
    assert (alice.did, sent.id) == (delivery.sender, delivery.id)
    assert sent.sequence is not None
    assert alice.dead_letters() == []


@pytest.mark.parametrize("there", ["nats", "binary", "text"])
async def test_mail_waits_for_its_recipient_in_order(host: Host, there: str) -> None:
    """What was sent while the recipient was away is there when it comes, in order, and once."""
    first = await host.open(host.make(there, "bob"))
    await first.close()
    alice = await host.open(host.make())
    sents = [await alice.send(first.did, number) for number in range(150)]
    bob = host.make(there, "bob")
    heard = listening(bob)
    await host.open(bob)
    more = [await alice.send(bob.did, number) for number in range(150, 300)]
    contents = await heard.contents(300)
    for sent in (*sents, *more):
        await sent.wait_processed(SECONDS)

    assert list(range(300)) == contents
    assert heard.is_quiet


async def test_agent_may_write_to_itself(host: Host) -> None:
    """A note to oneself travels like any other."""
    alice = host.make("binary")
    heard = listening(alice)
    await host.open(alice)
    sent = await alice.send(alice.did, "remember")
    await sent.wait_processed(SECONDS)

    assert (await heard.next()).content == "remember"


async def test_reply_finds_whoever_asked(host: Host) -> None:
    """A request of any type is answered in its thread."""
    bob = host.make("text")

    @bob.on(Intent)
    async def answer(delivery: Delivery) -> None:
        assert isinstance(delivery.body, Intent)
        await delivery.reply(Intent(status="quoted", cost=4.5, result=delivery.body.query))

    await host.open(bob)
    alice = await host.open(host.make())
    reply = await alice.request(bob.did, Intent(query="tea for two"), timeout=SECONDS)

    assert Intent(status="quoted", cost=4.5, result="tea for two") == reply.body


async def test_blocking_handler_does_not_stop_the_agent(host: Host) -> None:
    """A plain function runs in a thread, and the agent answers others meanwhile."""
    bob = host.make()
    release = threading.Event()
    began = threading.Event()

    @bob.on("MESSAGE")
    def block(_: Delivery) -> None:
        began.set()
        release.wait(SECONDS)

    await host.open(bob)
    alice = await host.open(host.make())
    sent = await alice.send(bob.did, "slow")
    await asyncio.to_thread(began.wait, SECONDS)
    seconds = await alice.ping(bob.did)
    processed_before = sent.is_processed
    release.set()
    await sent.wait_processed(SECONDS)

    assert seconds < SECONDS
    assert not processed_before


async def test_failed_handler_is_a_dead_letter(host: Host) -> None:
    """The sender learns that the handler failed, and the next envelope is handled."""
    bob = host.make()
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    bob.on_error(errors.put_nowait)

    @bob.on("MESSAGE")
    async def fail(delivery: Delivery) -> None:
        if delivery.content == "bad":
            raise KeyError("bad")

    await host.open(bob)
    alice = await host.open(host.make())
    bad, good = await alice.send(bob.did, "bad"), await alice.send(bob.did, "good")
    await good.wait_processed(SECONDS)

    with pytest.raises(RemoteProblem) as caught:
        await bad.wait_processed(SECONDS)
    assert (bob.did, "handler_failed") == (caught.value.reporter, caught.value.error.problem)
    assert isinstance(errors.get_nowait(), KeyError)
    assert [(bad.id, "handler_failed")] == [(row.id, row.problem) for row in alice.dead_letters()]


async def test_mail_that_nobody_handles_is_a_dead_letter(host: Host) -> None:
    """An agent with handlers, but none for this type, says so."""
    bob = host.make()
    listening(bob, "INTENT")
    await host.open(bob)
    alice = await host.open(host.make())
    sent = await alice.send(bob.did, "hello")

    with pytest.raises(RemoteProblem) as caught:
        await sent.wait_processed(SECONDS)
    assert caught.value.error.problem == "no_handler"


@pytest.mark.parametrize("here", ["nats", "binary", "text"])
async def test_unknown_recipient_is_refused_quickly(host: Host, here: str) -> None:
    """Nobody waits for an agent that never was."""
    alice = await host.open(host.make(here))
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    alice.on_receipt(notices.put_nowait)

    with pytest.raises(RemoteProblem) as caught:
        await alice.send(Identity.generate().did, "hello", timeout=SECONDS)
    async with asyncio.timeout(SECONDS):
        notice = await notices.get()
    assert caught.value.error.problem == "unknown_agent"
    assert (alice.did, ReceiptStatus.DEAD_LETTERED) == (notice.reporter, notice.status)


async def test_policy_of_the_recipient_counts(host: Host) -> None:
    """Who is not on the list may not write; who is, may."""
    alice, mallory = await host.open(host.make()), await host.open(host.make())
    bob = host.make("text", policy=Policy.LISTED, callers=[alice.did])
    heard = listening(bob)
    await host.open(bob)
    await alice.send(bob.did, "hello")

    with pytest.raises(RemoteProblem) as caught:
        await mallory.send(bob.did, "hello")
    assert caught.value.error.problem == "refused"
    assert alice.did == (await heard.next()).sender
    assert heard.is_quiet


async def test_too_large_is_refused_here(host: Host) -> None:
    """What nobody would accept is not even written down."""
    alice = await host.open(host.make())

    with pytest.raises(EnvelopeTooLarge):
        await alice.send(alice.did, "x" * 70_000)
    assert alice.dead_letters() == []


async def test_expired_mail_comes_back_as_a_notice(host: Host) -> None:
    """A recipient that stays away too long does not get it, and the sender is told."""
    bob = await host.open(host.make("nats", "bob"))
    await bob.close()
    alice = await host.open(host.make())
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    alice.on_receipt(notices.put_nowait)
    sent = await alice.send(bob.did, "hello", lifetime_ms=1500)

    with pytest.raises(RemoteProblem) as caught:
        await sent.wait_processed(SECONDS)
    assert caught.value.error.problem == "expired"
    told = [notices.get_nowait() for _ in range(notices.qsize())]
    assert [ReceiptStatus.STORED, ReceiptStatus.EXPIRED] == [notice.status for notice in told]


async def test_accepted_mail_survives_the_process(platform: Platform, host: Host, tmp_path: Path) -> None:
    """What was handed over without a platform in reach is sent by the next process, in order, before what is new."""
    bob = host.make("text")
    heard = listening(bob)
    await host.open(bob)
    early = host.make("nats", "alice", url="nats://127.0.0.1:9")
    await early.start()
    for number in range(3):
        await early.send(bob.did, number, timeout=0)
    with pytest.raises(NotAcknowledged):
        await early.send(bob.did, 3, timeout=0.01)
    await early.close()
    late = await host.open(host.make("binary", "alice"))
    await late.send(bob.did, 4)

    assert [0, 1, 2, 3, 4] == await heard.contents(5)


async def test_same_id_is_handled_once(platform: Platform, host: Host) -> None:
    """A sender that repeats itself gets the receipt again, and one that reuses an id is told of the conflict."""
    bob = host.make()
    heard = listening(bob)
    await host.open(bob)
    async with native(platform.endpoints().nats) as alice:
        inbox = await alice.hear(subjects.inbox_mail(alice.key.token))
        id_ = new_id()

        async def processed() -> None:
            async with asyncio.timeout(SECONDS):
                while True:
                    body = unseal((await inbox.get()).data).body
                    if isinstance(body, Receipt) and (id_, ReceiptStatus.PROCESSED) in _ends(body):
                        return

        first = await alice.say(Message(content=1), bob.did, id_=id_)
        await processed()
        again = await alice.say(Message(content=1), bob.did, id_=id_)
        await processed()
        # Whoever still knows of the first one says it: the relay while that lies there, else its recipient.
        conflict = await alice.say(Message(content=2), bob.did, id_=id_)
        while not isinstance(conflict.body, Error):
            async with asyncio.timeout(SECONDS):
                conflict = unseal((await inbox.get()).data)

    assert isinstance(first.body, Receipt)
    assert isinstance(again.body, Receipt)
    assert (first.body.items[0].sequence or 0) < (again.body.items[0].sequence or 0)
    assert ("conflict", id_) == (conflict.body.problem, conflict.envelope.in_reply_to)
    assert [1] == await heard.contents(1)
    assert heard.is_quiet


def _ends(receipt: Receipt) -> list[tuple[str, ReceiptStatus]]:
    return [(item.id, item.status) for item in receipt.items]
