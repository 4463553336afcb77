import asyncio

import pytest

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import ExecRequest
from aiconexus.protocol.seal import Codec
from aiconexus.relay.doubles import TIMES_MAX
from aiconexus.runtime.testing import counted

from .world import Agent, World, contents, letters

pytestmark = pytest.mark.usefixtures("relay")


def ask(ann: Agent, bob: Agent, text: str = "x", *, at_ms: int = 0, codec: Codec = Codec.MSGPACK) -> bytes:
    """A call of Ann's under an id of her own."""
    question = ExecRequest(capability="a", args={"text": text}, timeout_ms=1000 + at_ms)
    return ann.sealed(question, bob.did, id_="mine", now_ms=now_ms() + at_ms, codec=codec)


async def test_asked_again_while_it_lies_there_is_given_once_more(ann: Agent, bob: Agent) -> None:
    """Whoever wrote the same question anew does not know of the first one: the recipient sees both."""
    first = await ann.submit(ask(ann, bob))
    again = await ann.submit(ask(ann, bob, at_ms=1))

    assert (False, False) == (first.duplicate, again.duplicate)
    assert [first.sequence, again.sequence] == [item.sequence for item in (await bob.fetch()).items]


async def test_asked_again_when_it_is_gone_is_given_once_more(ann: Agent, bob: Agent) -> None:
    """What was read and acknowledged goes to the recipient again, be it the same bytes or written anew."""
    before = counted("aiconexus_relay_envelopes_stored_again_total")
    data = ask(ann, bob)
    first = await ann.submit(data)
    await bob.ack(first.sequence or 0)
    second = await ann.submit(data)
    await bob.ack(second.sequence or 0)
    third = await ann.submit(ask(ann, bob, at_ms=1))

    assert [False] * 3 == [item.duplicate for item in (first, second, third)]
    assert [third.sequence] == [item.sequence for item in (await bob.fetch()).items]
    assert before + 2 == counted("aiconexus_relay_envelopes_stored_again_total")


async def test_same_bytes_again_lie_there_once(ann: Agent, bob: Agent) -> None:
    """A retransmission is told where the envelope lies, also after it was stored again."""
    data = ask(ann, bob)
    first = await ann.submit(data)
    await bob.ack(first.sequence or 0)
    second, third = await ann.submit(data), await ann.submit(data)

    assert (second.sequence, True) == (third.sequence, third.duplicate)
    assert 1 == len((await bob.fetch()).items)


async def test_two_replicas_store_it_again_once(world: World, ann: Agent, bob: Agent) -> None:
    """However many relays are asked at once, the recipient sees one more."""
    data = ask(ann, bob)
    first = await ann.submit(data)
    await bob.ack(first.sequence or 0)
    async with world.relay("r2"):
        items = await asyncio.gather(*(ann.submit(data) for _ in range(8)))

    assert 1 == len({item.sequence for item in items})
    assert [False] + [True] * 7 == sorted(item.duplicate for item in items)
    assert 1 == len((await bob.fetch()).items)


async def test_what_was_written_anew_for_another_codec_is_the_same(ann: Agent, bob: Agent) -> None:
    """The sender found out what the recipient reads, and nothing else changed."""
    at_ms = now_ms()
    first = await ann.submit(ann.mail(bob, {"n": 1}, id_="mine", now_ms=at_ms))
    again = await ann.submit(ann.mail(bob, {"n": 1}, id_="mine", now_ms=at_ms, codec=Codec.JSON))

    assert (first.sequence, True) == (again.sequence, again.duplicate)
    assert [{"n": 1}] == contents(await bob.fetch())


async def test_something_else_under_the_id_is_a_conflict(world: World, ann: Agent, bob: Agent) -> None:
    """Another body, or the same one to somebody else, is refused as long as the first one lies there."""
    before = counted("aiconexus_relay_envelopes_refused_total", problem="conflict")
    await ann.submit(ask(ann, bob))
    eve = await world.agent()
    refused = [await ann.refused(data) for data in (ask(ann, bob, "y"), ask(ann, eve), ann.mail(bob, id_="mine"))]

    assert [("conflict", False)] * 3 == [(error.problem, error.retryable) for error in refused]
    assert before + 3 == counted("aiconexus_relay_envelopes_refused_total", problem="conflict")
    assert ["x"] == [letter.body.args["text"] for letter in letters(await bob.fetch())]  # type: ignore[attr-defined]


async def test_asking_again_is_bounded(ann: Agent, bob: Agent) -> None:
    """Whoever asks on and on is told to come back when the window is over."""
    for number in range(TIMES_MAX + 1):
        await ann.submit(ask(ann, bob, at_ms=number))
    refused = await ann.refused(ask(ann, bob, at_ms=TIMES_MAX + 1))

    assert ("rate_limited", True) == (refused.problem, refused.retryable)
    assert TIMES_MAX + 1 == len((await bob.fetch()).items)


async def test_full_mailbox_says_so(world: World, ann: Agent, bob: Agent) -> None:
    """Storing again needs room as storing does."""
    async with world.relay("r2", mailbox_max_envelopes=1):
        await ann.submit(ask(ann, bob))
        refused = await ann.refused(ask(ann, bob, at_ms=1))

    assert ("mailbox_full", True) == (refused.problem, refused.retryable)
