"""What the journal keeps of calls."""

from aiconexus.protocol.call_bodies import Chunk
from aiconexus.sdk.callrows import CallRow, CallRows, ChunkRows
from aiconexus.sdk.journal import Journal

FOREVER = 2**52
ALICE, BOB = "did:key:zAlice", "did:key:zBob"


def test_first_answer_counts(journal: Journal) -> None:
    """Nobody but the callee answers, and only once."""
    rows = CallRows(journal)
    rows.add(CallRow("name", "id", BOB, b"digest", FOREVER))
    rows.answer("id", ALICE, b"forged")
    rows.answer("other", BOB, b"other")
    rows.answer("id", BOB, b"first")
    rows.answer("id", BOB, b"second")
    rows.advance("name", 7)

    assert rows.find("name") == CallRow("name", "id", BOB, b"digest", FOREVER, 7, b"first")
    assert rows.find("id") is None


def test_chunks_are_kept_until_they_are_taken(journal: Journal) -> None:
    """Each caller and each call has its own."""
    rows = ChunkRows(journal)
    for index in (2, 0, 1):
        rows.add(ALICE, "a", Chunk(index=index, data={"n": index}), FOREVER)
    rows.add(BOB, "a", Chunk(index=0), FOREVER)
    rows.add(ALICE, "b", Chunk(index=0), FOREVER)
    before = [chunk.index for chunk in rows.since(ALICE, "a")]
    rows.drop(ALICE, "a", 1)
    rows.drop(ALICE, "a", 1)

    assert [0, 1, 2] == before
    assert [Chunk(index=1, data={"n": 1}), Chunk(index=2, data={"n": 2})] == rows.since(ALICE, "a")
    assert [2] == [chunk.index for chunk in rows.since(ALICE, "a", 2)]
    assert (1, 1) == (len(rows.since(BOB, "a")), len(rows.since(ALICE, "b")))


def test_what_is_over_is_swept(journal: Journal) -> None:
    """Calls and chunks do not stay for ever."""
    calls, chunks = CallRows(journal), ChunkRows(journal)
    calls.add(CallRow("old", "old", BOB, b"", 1))
    calls.add(CallRow("new", "new", BOB, b"", 3))
    chunks.add(ALICE, "a", Chunk(index=0), 1)
    journal.sweep(2)

    assert calls.find("old") is None
    assert calls.find("new") is not None
    assert chunks.since(ALICE, "a") == []
