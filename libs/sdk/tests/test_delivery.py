"""What an application holds in its hands."""

import asyncio
from typing import Any

import pytest

from aiconexus.protocol.bodies import Body, Intent, Message, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import RemoteProblem, UnknownAgent
from aiconexus.protocol.seal import write_body
from aiconexus.sdk.delivery import Delivery, Notice, Sent

BOB = "did:key:zBob"


def notice(status: ReceiptStatus, problem: str | None = None) -> Notice:
    """A receipt of Bob."""
    return Notice(id="a", recipient=BOB, reporter=BOB, status=status, problem=problem)


class TestSent:
    """An envelope on its way."""

    async def test_stored(self) -> None:
        """The wait ends when the relay has it, and tells its place."""
        sent = Sent("a", BOB)
        sent.note_stored(7)

        assert await sent.wait_stored(1) is sent
        assert sent.sequence == 7
        assert not sent.is_processed

    async def test_processed(self) -> None:
        """The recipient's receipt ends the wait; it says that it was stored, too."""
        sent = Sent("a", BOB)
        sent.note_final(notice(ReceiptStatus.PROCESSED))
        await sent.wait_processed(1)
        await sent.wait_stored(1)

        assert sent.is_processed

    async def test_died(self) -> None:
        """An unhappy end is raised with its problem, and the first end counts."""
        sent = Sent("a", BOB)
        sent.note_stored(7)
        sent.note_final(notice(ReceiptStatus.DEAD_LETTERED, "handler_failed"))
        sent.note_final(notice(ReceiptStatus.PROCESSED))

        with pytest.raises(RemoteProblem) as caught:
            await sent.wait_processed(1)
        assert (caught.value.reporter, caught.value.error.problem) == (BOB, "handler_failed")

    async def test_expired(self) -> None:
        """Too late is told apart from dead."""
        sent = Sent("a", BOB)
        sent.note_final(notice(ReceiptStatus.EXPIRED))

        with pytest.raises(RemoteProblem) as caught:
            await sent.wait_processed(1)
        assert caught.value.error.problem == "expired"

    async def test_refused(self) -> None:
        """What the relay does not take will never be processed either."""
        sent = Sent("a", BOB)
        sent.note_failed(UnknownAgent(BOB))

        with pytest.raises(UnknownAgent):
            await sent.wait_stored(1)
        with pytest.raises(UnknownAgent):
            await sent.wait_processed(1)

    async def test_patience_ends(self) -> None:
        """A wait that is too short changes nothing: it may come later."""
        sent = Sent("a", BOB)

        with pytest.raises(NotAcknowledged):
            await sent.wait_stored(0.001)
        sent.note_stored(None)
        await sent.wait_stored(1)

    async def test_cancelled_wait_harms_nobody(self) -> None:
        """Two may wait for the same; one of them may give up."""
        sent = Sent("a", BOB)
        first = asyncio.create_task(sent.wait_processed())
        second = asyncio.create_task(sent.wait_processed(1))
        await asyncio.sleep(0)
        first.cancel()
        sent.note_final(notice(ReceiptStatus.PROCESSED))
        await second

        assert first.cancelled() or first.cancelling()


class TestDelivery:
    """An envelope that came."""

    @staticmethod
    def make(body: Body, posted: list[Any], **fields: Any) -> Delivery:
        """An envelope of Bob; what is posted is written down."""

        async def post(did: str, body: Body, **fields: Any) -> Sent:
            posted.append((did, body, fields))
            return Sent("reply", did)

        envelope = Envelope(
            version=1,
            id="a",
            type=body.TYPE,
            sender=BOB,
            recipient="did:key:zMe",
            created_ms=1,
            body=write_body(body),
            **fields,
        )
        return Delivery(envelope, body, post)

    def test_content(self) -> None:
        """A MESSAGE is its content, everything else its body."""
        intent = Intent(query="tea")

        assert self.make(Message(content=[1]), []).content == [1]
        assert self.make(intent, []).content == intent
        assert self.make(intent, []).type == "INTENT"

    async def test_reply_opens_a_thread(self) -> None:
        """An answer names what it answers, and keeps the two together."""
        posted: list[Any] = []
        await self.make(Message(content=1), posted).reply({"x": 2})

        assert [(BOB, Message(content={"x": 2}), {"in_reply_to": "a", "thread": "a"})] == posted

    async def test_reply_stays_in_the_thread(self) -> None:
        """A thread that exists is continued, with any body."""
        posted: list[Any] = []
        intent = Intent(status="done")
        await self.make(Message(content=1), posted, thread="t").reply(intent, lifetime_ms=5)

        assert [(BOB, intent, {"in_reply_to": "a", "thread": "t", "lifetime_ms": 5})] == posted
