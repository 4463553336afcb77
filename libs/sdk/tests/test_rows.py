"""The rows of the journal, as outbox and inbox use them."""

import pytest

from aiconexus.protocol.bodies import ReceiptStatus
from aiconexus.sdk.journal import Journal
from aiconexus.sdk.rows import DEAD, PROCESSED, QUEUED, STORED, InRow, InRows, OutRow, OutRows

FOREVER = 2**52
ALICE, BOB = "did:key:zAlice", "did:key:zBob"


@pytest.fixture
def outbox(journal: Journal) -> OutRows:
    """Its outbox."""
    return OutRows(journal)


@pytest.fixture
def inbox(journal: Journal) -> InRows:
    """Its inbox."""
    return InRows(journal)


def out_row(id_: str, recipient: str = BOB) -> OutRow:
    """An envelope that is to be sent."""
    return OutRow(id_, recipient, "MESSAGE", QUEUED, 1, b"sealed", FOREVER)


class TestOutRows:
    """What is to be sent."""

    def test_sequences_count_for_each_recipient(self, outbox: OutRows) -> None:
        """Each recipient sees 1, 2, 3."""
        counted = [outbox.next_sequence(did) for did in (BOB, BOB, ALICE, BOB)]

        assert [1, 2, 1, 3] == counted

    def test_queue_keeps_the_order(self, outbox: OutRows) -> None:
        """What waits is found in the order in which it was written."""
        for id_, recipient in (("c", BOB), ("a", ALICE), ("b", BOB)):
            outbox.add(out_row(id_, recipient))

        assert [("c", BOB), ("a", ALICE), ("b", BOB)] == outbox.queued()

    def test_stored_envelope_gives_its_bytes_back(self, outbox: OutRows) -> None:
        """Once the relay has it, the journal keeps no second copy."""
        outbox.add(out_row("a"))
        outbox.mark_stored("a")

        assert outbox.find("a") == OutRow("a", BOB, "MESSAGE", STORED, 1, None, FOREVER)
        assert outbox.queued() == []

    def test_late_answer_does_not_revive(self, outbox: OutRows) -> None:
        """The receipt of the recipient may overtake the relay's answer."""
        outbox.add(out_row("a"))
        outbox.mark_processed("a")
        outbox.mark_stored("a")
        row = outbox.find("a")

        assert row is not None
        assert row.state == PROCESSED

    def test_dead_envelope_stays_with_its_reason(self, outbox: OutRows) -> None:
        """What died can be listed."""
        outbox.add(out_row("a"))
        outbox.mark_dead("a", "unknown_agent")

        assert [("a", DEAD, "unknown_agent")] == [(row.id, row.state, row.problem) for row in outbox.dead()]

    def test_only_processed_ones_are_forgotten(self, outbox: OutRows) -> None:
        """Forgetting heard receipts keeps what they called dead."""
        for id_ in "ab":
            outbox.add(out_row(id_))
        outbox.mark_processed("a")
        outbox.mark_dead("b", "x")
        outbox.forget(["a", "b"])

        assert outbox.find("a") is None
        assert outbox.find("b") is not None

    def test_resealed_envelope_keeps_its_place(self, outbox: OutRows) -> None:
        """Other bytes for the same envelope change nothing else."""
        outbox.add(out_row("a"))
        outbox.reseal("a", 2, b"json")

        assert outbox.find("a") == OutRow("a", BOB, "MESSAGE", QUEUED, 2, b"json", FOREVER)


class TestInRows:
    """What has come."""

    def test_started_envelope_has_no_end(self, inbox: InRows) -> None:
        """Before the handler returns, nothing is told."""
        inbox.start(ALICE, "a", b"digest", FOREVER)

        assert inbox.find(ALICE, "a") == InRow(b"digest", FOREVER, None, None, False)
        assert inbox.untold_senders() == []

    def test_ids_belong_to_senders(self, inbox: InRows) -> None:
        """Two senders may use the same id."""
        inbox.start(ALICE, "a", b"digest", FOREVER)

        assert inbox.find(BOB, "a") is None

    def test_finished_envelope_is_told_once(self, inbox: InRows) -> None:
        """What was told is not told again, unless somebody asks again."""
        inbox.start(ALICE, "a", b"", FOREVER)
        inbox.finish(ALICE, "a", ReceiptStatus.PROCESSED)
        before = inbox.untold(ALICE, 10)
        inbox.mark_told(ALICE, ["a"])
        after = inbox.untold(ALICE, 10)
        inbox.mark_told(ALICE, ["a"], told=False)

        assert [("a", ReceiptStatus.PROCESSED, None)] == before
        assert after == []
        assert [ALICE] == inbox.untold_senders()

    def test_reply_is_kept(self, inbox: InRows) -> None:
        """The answer to a call can be said again."""
        inbox.start(ALICE, "a", b"", FOREVER)
        inbox.finish(ALICE, "a", ReceiptStatus.PROCESSED, reply_id="r", reply=b"sealed")
        row = inbox.find(ALICE, "a")

        assert row is not None
        assert (row.reply_id, row.reply) == ("r", b"sealed")

    def test_answer_that_is_written_anew_is_kept_as_it_travels(self, inbox: InRows, outbox: OutRows) -> None:
        """What is repeated later are the bytes that were sent."""
        inbox.start(ALICE, "a", b"", FOREVER)
        inbox.finish(ALICE, "a", ReceiptStatus.PROCESSED, reply_id="r", reply=b"sealed")
        outbox.add(out_row("r", ALICE))
        outbox.reseal("r", 2, b"json")
        row = inbox.find(ALICE, "a")

        assert row is not None
        assert row.reply == b"json"

    def test_what_was_given_back_is_not_interrupted(self, inbox: InRows) -> None:
        """An attempt that the retry service is to have survives a crash as it is."""
        inbox.start(ALICE, "a", b"", FOREVER)
        inbox.give_back(ALICE, "a", 7)

        assert inbox.interrupt(ReceiptStatus.DEAD_LETTERED, "handler_interrupted") == (0, 0)
        assert inbox.find(ALICE, "a") == InRow(b"", FOREVER, None, None, False, 7)

    def test_crash_ends_or_repeats_what_was_running(self, inbox: InRows) -> None:
        """Handlers that may run again do; the senders of the others are told."""
        inbox.start(ALICE, "once", b"", FOREVER)
        inbox.start(ALICE, "again", b"", FOREVER, rerun=True)
        inbox.start(ALICE, "done", b"", FOREVER)
        inbox.finish(ALICE, "done", ReceiptStatus.PROCESSED)
        inbox.mark_told(ALICE, ["done"])
        counts = inbox.interrupt(ReceiptStatus.DEAD_LETTERED, "handler_interrupted")

        assert counts == (1, 1)
        assert inbox.find(ALICE, "again") is None
        assert [("once", ReceiptStatus.DEAD_LETTERED, "handler_interrupted")] == inbox.untold(ALICE, 10)
