from contextlib import AsyncExitStack
from typing import Any

import pytest

from aiconexus.bus.clock import now_ms
from aiconexus.bus.streams import Streams
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.limits import LIFETIME_MAX_MS
from aiconexus.protocol.seal import Codec, unseal
from aiconexus.relay.expiry import notice_id
from aiconexus.relay.mailbox import EXPIRES_HEADER, stored_headers
from aiconexus.relay.sweeper import Sweeper

from .world import Agent, World, letters, receipts, until

LATE_SECONDS = 10
LIFE_SECONDS = LIFETIME_MAX_MS // 1000


class Always:
    """A lease that nobody disputes."""

    async def hold(self) -> bool:
        """It is ours."""
        return True


def ahead(world: World, streams: Streams, seconds: int, entries_max: int = 100) -> Sweeper:
    """A sweeper whose clock is ahead, so that nobody has to wait."""
    lease: Any = Always()
    key = world.keys["relay"]
    return Sweeper(
        streams,
        lease,
        key,
        entries_max=entries_max,
        sweep_seconds=1,
        now_ms=lambda: now_ms() + seconds * 1000,
    )


@pytest.mark.parametrize("codec", list(Codec))
async def test_the_sender_is_told_what_nobody_read(world: World, ann: Agent, bob: Agent, codec: Codec) -> None:
    """An envelope that ended unread leaves the mailbox, and its sender gets a receipt signed by relay in its codec."""
    async with world.relay(instance="idle"):
        data = ann.mail(bob, codec=codec)
        await ann.submit(data)
        streams = Streams(await world.session("relay"))
        await ahead(world, streams, LIFE_SECONDS - 60).sweep()
        before = await bob.fetch()
        await ahead(world, streams, LIFE_SECONDS + 60).sweep()
        after = await bob.fetch()
        notice = letters(await ann.fetch())

    assert (len(before.items), after.items) == (1, ())
    assert [(letter.envelope.sender, letter.sealed.codec) for letter in notice] == [(world.relay_did, codec)]
    assert notice[0].envelope.in_reply_to == unseal(data).envelope.id


async def test_a_short_life_ends_with_a_notice(world: World, ann: Agent, bob: Agent) -> None:
    """The whole way: a running relay notices an end of itself, a few seconds late at most."""
    async with world.relay():
        data = ann.mail(bob, expires_ms=now_ms() + 500)
        await ann.submit(data)
        mail = await until(ann, lambda mail: bool(mail.items), LATE_SECONDS)
        left = await bob.fetch()

    assert [(item.id, item.status) for item in receipts(mail)] == [(unseal(data).envelope.id, "expired")]
    assert left.items == ()


async def test_what_was_read_in_time_is_no_expiry(world: World, ann: Agent, bob: Agent) -> None:
    """An acknowledged envelope ends without a notice."""
    async with world.relay(instance="idle"):
        first = await ann.submit(ann.mail(bob, expires_ms=now_ms() + 60_000))
        sweeps = ahead(world, Streams(await world.session("relay")), 30)
        await sweeps.sweep()
        await bob.ack(first.sequence or 0)
        late = ahead(world, Streams(await world.session("relay")), 120)
        await late.sweep()
        mail = await ann.fetch()

    assert mail.items == ()


async def test_receipts_end_in_silence(world: World, ann: Agent, bob: Agent) -> None:
    """Nobody is told that a receipt expired, or there would be no end of it."""
    async with world.relay(instance="idle"):
        item = ReceiptItem(id="x", status=ReceiptStatus.PROCESSED)
        await ann.submit(ann.sealed(Receipt(items=(item,)), bob.did, expires_ms=now_ms() + 1000))
        await ahead(world, Streams(await world.session("relay")), 60).sweep()
        left, told = await bob.fetch(), await ann.fetch()

    assert (left.items, told.items) == ((), ())


async def test_a_crash_between_notice_and_deletion_doubles_nothing(world: World, ann: Agent, bob: Agent) -> None:
    """The successor publishes the notice again under the same id, and the stream keeps one."""
    async with world.relay(instance="idle"):
        data = ann.mail(bob, expires_ms=now_ms() + 1000)
        await ann.submit(data)
        streams = Streams(await world.session("relay"))
        headers = stored_headers(world.keys["relay"].token, notice_id(unseal(data).envelope), now_ms() + 600_000)
        notice = Agent(world, world.keys["relay"]).sealed(
            Receipt(items=(ReceiptItem(id=unseal(data).envelope.id, status=ReceiptStatus.EXPIRED),)), ann.did
        )
        await streams.publish(subjects.mailbox(ann.key.token), notice, id_=headers.pop("Nats-Msg-Id"), headers=headers)
        await ahead(world, streams, 60).sweep()
        told, left = await ann.fetch(), await bob.fetch()

    assert (len(told.items), left.items) == (1, ())


async def test_a_sender_without_room_is_told_later(world: World, ann: Agent, bob: Agent) -> None:
    """An envelope is not forgotten before its sender could be told."""
    async with world.relay(instance="idle", mailbox_max_envelopes=1):
        await bob.submit(bob.mail(ann, "fills it"))
        await ann.submit(ann.mail(bob, "ends", expires_ms=now_ms() + 1000))
        streams = Streams(await world.session("relay"))
        patient = ahead(world, streams, 60)
        await patient.sweep()
        kept = await bob.fetch()
        await ann.ack((await ann.fetch()).items[0].sequence)
        await ahead(world, streams, 300).sweep()
        told = await ann.fetch()

    assert len(kept.items) == 1
    assert [item.status for item in receipts(told)] == ["expired"]


async def test_little_memory_is_enough(world: World, ann: Agent, bob: Agent) -> None:
    """With room for one end the mailboxes are walked again and again, and everything ends all the same."""
    async with world.relay(instance="idle"):
        for number in range(6):
            await ann.submit(ann.mail(bob, number, expires_ms=now_ms() + 1000 + 10 * number))
        small = ahead(world, Streams(await world.session("relay")), 60, entries_max=1)
        for _ in range(6):
            await small.sweep()
        told, left = await ann.fetch(), await bob.fetch()

    assert (len(receipts(told)), left.items) == (6, ())


async def test_one_replica_sweeps_and_another_takes_over(world: World, ann: Agent, bob: Agent) -> None:
    """While several run, each end is told once; when the one that sweeps vanishes without a word, the next goes on."""
    async with AsyncExitStack() as stack:
        lost = await stack.enter_async_context(world.relay("r1"))
        await stack.enter_async_context(world.relay("r2"))
        for number in range(10):
            await ann.submit(ann.mail(bob, number, expires_ms=now_ms() + 1_000 + number * 500))
        await until(ann, lambda mail: len(mail.items) >= 1, LATE_SECONDS)
        await lost.session.close()
        mail = await until(ann, lambda mail: len(mail.items) >= 10, LATE_SECONDS + 5)
        left = await bob.fetch()

    ids = [item.id for item in receipts(mail)]
    assert (len(ids), len(set(ids)), left.items) == (10, 10, ())


async def test_an_entry_that_nobody_can_read_stops_nothing(world: World, ann: Agent, bob: Agent) -> None:
    """Whatever got into the stream, the envelopes behind it end as they should."""
    async with world.relay(instance="idle"):
        streams = Streams(await world.session("relay"))
        await streams.publish(subjects.mailbox(bob.key.token), b"garbage", headers={EXPIRES_HEADER: "1"})
        await ann.submit(ann.mail(bob, expires_ms=now_ms() + 1000))
        await ahead(world, streams, 60).sweep()
        told = await ann.fetch()

    assert [item.status for item in receipts(told)] == ["expired"]
