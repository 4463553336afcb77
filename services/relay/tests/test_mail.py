import asyncio

import pytest

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.limits import PAGE_MAX_BYTES
from aiconexus.protocol.seal import Codec
from aiconexus.runtime.testing import counted

from .world import Agent, World, contents, letters

pytestmark = pytest.mark.usefixtures("relay")


async def test_a_mailbox_is_read_in_pages(ann: Agent, bob: Agent) -> None:
    """Pages follow each other behind the cursor, in order, and say how much is left."""
    for number in range(5):
        await ann.submit(ann.mail(bob, number))
    first = await bob.fetch(limit=3)
    second = await bob.fetch(first.items[-1].sequence, limit=3)

    assert (contents(first), first.pending) == ([0, 1, 2], 2)
    assert (contents(second), second.pending) == ([3, 4], 0)


@pytest.mark.parametrize("codec", list(Codec))
async def test_a_page_is_bounded_in_bytes(ann: Agent, bob: Agent, codec: Codec) -> None:
    """Large envelopes come in more pages, each of which fits into an answer in either codec."""
    for number in range(12):
        await ann.submit(ann.sealed(Message(content="x" * 60_000), bob.did, codec=codec), 10 + number)
    page = await bob.fetch(codec=codec)

    assert sum(len(item.payload) for item in page.items) <= PAGE_MAX_BYTES
    assert (len(page.items), page.pending) == (8, 4)


async def test_an_empty_mailbox_is_an_empty_page(bob: Agent) -> None:
    """Nothing is no error."""
    page = await bob.fetch()

    assert (page.items, page.pending) == ((), 0)


async def test_an_ack_forgets_what_is_done_and_nothing_else(ann: Agent, bob: Agent) -> None:
    """Acknowledgement is cumulative, for one's own mailbox alone."""
    sequences = [(await ann.submit(ann.mail(bob, number))).sequence or 0 for number in range(3)]
    await bob.submit(bob.mail(ann, "for ann"))
    acked = await bob.ack(sequences[1])
    again = await bob.ack(sequences[1])

    assert (acked.upto, again.upto) == (sequences[1], sequences[1])
    assert contents(await bob.fetch()) == [2]
    assert contents(await ann.fetch()) == ["for ann"]


async def test_acks_at_once_share_the_work(ann: Agent, bob: Agent) -> None:
    """However many acks come at once and in whatever order, the mailbox ends where the furthest says."""
    sequences = [(await ann.submit(ann.mail(bob, number))).sequence or 0 for number in range(10)]
    before = counted("aiconexus_relay_envelopes_acknowledged_total")
    await asyncio.gather(*(bob.ack(sequence) for sequence in reversed(sequences[:9])))

    assert contents(await bob.fetch()) == [9]
    assert counted("aiconexus_relay_envelopes_acknowledged_total") - before == 9


async def test_mail_is_believed_by_its_senders_signature(world: World, ann: Agent, bob: Agent) -> None:
    """What comes out is what went in: codec, payload and signature."""
    await ann.submit(ann.mail(bob, "one", codec=Codec.JSON))
    await ann.submit(ann.mail(bob, "two"))
    found = letters(await bob.fetch())

    assert [(letter.sealed.codec, letter.envelope.sender) for letter in found] == [(2, ann.did), (1, ann.did)]


async def test_a_stranger_reads_no_mailbox(world: World, ann: Agent, bob: Agent) -> None:
    """A fetch in another's name fails: the subject says who asks."""
    await ann.submit(ann.mail(bob))
    error = await ann.refused(bob.sealed(Message(content=1), world.relay_did), "fetch")

    assert error.problem == "foreign_sender"
