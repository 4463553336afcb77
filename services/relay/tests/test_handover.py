import time
from typing import Any

import pytest

from aiconexus.bus.buckets import Bucket
from aiconexus.bus.clock import now_ms
from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Error, Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.errors import NoResponders, RemoteProblem
from aiconexus.protocol.job_bodies import Return
from aiconexus.protocol.records import MAILBOX, PRESENCE, PresenceRecord
from aiconexus.relay.handover import Handover
from aiconexus.relay.mailbox import stored_headers
from aiconexus.runtime.roster import Roster

from .world import Agent, World

pytestmark = pytest.mark.usefixtures("relay")

WAIT_SECONDS = 100
BUSY = Error(code="CONNECTION_REFUSED", problem="too_many_jobs", message="full", retryable=True)
KNOWN = Error(code="MALFORMED_MESSAGE", problem="conflict", message="another")


class Taker:
    """Stands where the retry service does, and remembers."""

    def __init__(self) -> None:
        self.taken: list[Return] = []
        self.error: Exception | None = None

    async def take(self, question: Return) -> None:
        """Take over, or refuse."""
        if self.error is not None:
            raise self.error
        self.taken.append(question)

    @property
    def sequences(self) -> list[int]:
        """Where what was taken over lies."""
        return [question.sequence for question in self.taken]


class Visits:
    """A handover whose clock can be put forward."""

    def __init__(self, world: World, streams: Streams, bucket: Bucket) -> None:
        self.taker = Taker()
        self._streams = streams
        self._ahead_ms = 0
        roster = Roster(bucket, PresenceRecord, 0.001, 10, time.monotonic)
        give: Any = self.taker.take
        self._handover = Handover(
            streams,
            roster,
            give,
            wait_seconds=WAIT_SECONDS,
            mailboxes_max=10,
            now_ms=lambda: now_ms() + self._ahead_ms,
        )

    async def after(self, seconds: float) -> list[int]:
        """Walk and visit so long from now; what was taken over so far."""
        self._ahead_ms = int(seconds * 1000)
        page = await self._streams.batch(MAILBOX, subjects.all_stored(), 0, limit=100, max_bytes=10**6)
        for stored in page.items:
            self._handover.note(stored)
        await self._handover.visit()
        return self.taker.sequences


@pytest.fixture
async def visits(world: World) -> Visits:
    """Nothing was looked at yet."""
    session = await world.session("relay")
    return Visits(world, Streams(session), Bucket(session, PRESENCE))


async def test_only_who_is_connected_is_waited_for(world: World, visits: Visits, ann: Agent, bob: Agent) -> None:
    """Mail of somebody who is away waits; the time counts from when both the mail and the recipient are there."""
    data = ann.mail(bob)
    item = await ann.submit(data)
    away = list(await visits.after(3 * WAIT_SECONDS))
    await world.connect(bob)
    early = list(await visits.after(WAIT_SECONDS - 5))
    late = list(await visits.after(5 * WAIT_SECONDS))
    later = list(await visits.after(7 * WAIT_SECONDS))

    assert ([], [], [item.sequence], [item.sequence]) == (away, early, late, later)
    (question,) = visits.taker.taken
    assert (data, "timeout", True) == (question.envelope, question.problem, question.retryable)
    assert question.policy is not None
    assert (WAIT_SECONDS, 3) == (question.policy.attempt_timeout_seconds, question.policy.max_retries)


async def test_what_is_acknowledged_is_not_handed_over(world: World, visits: Visits, ann: Agent, bob: Agent) -> None:
    """A mailbox that was emptied is forgotten, and looked after again when something new lies there."""
    await world.connect(bob)
    first = await ann.submit(ann.mail(bob))
    await visits.after(0)
    await bob.ack(first.sequence or 0)
    nothing = list(await visits.after(2 * WAIT_SECONDS))
    second = await ann.submit(ann.mail(bob))

    assert [] == nothing
    assert [second.sequence] == await visits.after(4 * WAIT_SECONDS)


async def test_some_mail_is_not_for_retry(world: World, visits: Visits, ann: Agent, bob: Agent) -> None:
    """What retry has placed itself, receipts, and what ends soon stay with those who answer for them."""
    await world.connect(bob)
    streams = Streams(await world.session("relay"))
    placed = ann.mail(bob, "retry's")
    headers = stored_headers(ann.key.token, "x/2", now_ms() + 10**7)
    await streams.publish(subjects.mailbox(bob.key.token), placed, id_=headers.pop("Nats-Msg-Id"), headers=headers)
    receipt = Receipt(items=(ReceiptItem(id="x", status=ReceiptStatus.PROCESSED),))
    await ann.submit(ann.sealed(receipt, bob.did))
    await ann.submit(ann.mail(bob, expires_ms=now_ms() + 3 * WAIT_SECONDS * 1000))
    last = await ann.submit(ann.mail(bob))

    assert [last.sequence] == await visits.after(2 * WAIT_SECONDS)


@pytest.mark.parametrize("error", [NoResponders("retry"), RemoteProblem("retry", BUSY)], ids=["away", "full"])
async def test_what_retry_cannot_take_is_offered_again(
    world: World, visits: Visits, ann: Agent, bob: Agent, error: Exception
) -> None:
    """The mailbox keeps it meanwhile."""
    await world.connect(bob)
    item = await ann.submit(ann.mail(bob))
    visits.taker.error = error
    refused = list(await visits.after(2 * WAIT_SECONDS))
    visits.taker.error = None

    assert [] == refused
    assert [item.sequence] == await visits.after(4 * WAIT_SECONDS)


async def test_what_retry_will_not_take_is_left_alone(world: World, visits: Visits, ann: Agent, bob: Agent) -> None:
    """What is refused for good is not offered again, and does not stand in the way of the next."""
    await world.connect(bob)
    await ann.submit(ann.mail(bob))
    visits.taker.error = RemoteProblem("retry", KNOWN)
    await visits.after(2 * WAIT_SECONDS)
    visits.taker.error = None
    second = await ann.submit(ann.mail(bob))

    assert [second.sequence] == await visits.after(4 * WAIT_SECONDS)
