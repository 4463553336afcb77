"""What senders are told, and the times that the server is told."""

import os

from aiconexus.protocol.bodies import Message, Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import compose, peek, split, unseal
from aiconexus.retry import job
from aiconexus.retry.job import JobRecord
from aiconexus.retry.notices import notice_of
from aiconexus.retry.timers import moment

NOW_MS = 1_790_000_000_000
ALICE, BOB, RETRY = (SigningKey(os.urandom(32)) for _ in range(3))
RECEIPT = Receipt(items=(ReceiptItem(id="m", status=ReceiptStatus.PROCESSED),))


def given_up(body: Message | Receipt) -> JobRecord:
    """A job of Alice that nobody tries any more."""
    letter = compose(body, ALICE, BOB.did, id_="m", now_ms=NOW_MS)
    return job.given_up(job.opened(peek(split(letter)), b"", RetryPolicy(), NOW_MS), NOW_MS, "exhausted")


def test_notice_is_the_same_for_every_replica() -> None:
    """A notice that is made twice has the same bytes, and says which envelope died and why."""
    record = given_up(Message(content="x"))
    notice = notice_of(record, RETRY, {})
    assert notice is not None
    letter = unseal(notice)

    assert notice == notice_of(record, RETRY, {})
    assert (RETRY.did, ALICE.did, "m") == (
        letter.envelope.sender,
        letter.envelope.recipient,
        letter.envelope.in_reply_to,
    )
    assert Receipt(items=(ReceiptItem(id="m", status=ReceiptStatus.DEAD_LETTERED, problem="exhausted"),)) == letter.body


def test_nobody_waits_for_some_notices() -> None:
    """There is no notice of a receipt, and none for a service, which has no mailbox."""
    assert notice_of(given_up(RECEIPT), RETRY, {}) is None
    assert notice_of(given_up(Message(content="x")), RETRY, {"relay": ALICE.did}) is None


def test_moment_is_written_with_milliseconds() -> None:
    """The server reads RFC 3339 in UTC, to the millisecond."""
    assert "2026-09-21T14:13:20.007Z" == moment(1_790_000_000_007)
