"""The parts of a streamed answer."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.call_bodies import Chunk
from aiconexus.sdk.chunks import AHEAD_CHUNKS, WINDOW_BYTES, WINDOW_CHUNKS, Digest, Parts, Window

END = 20


def chunk(index: int) -> Chunk:
    """One of the chunks of an answer."""
    return Chunk(index=index, data=index, last=index == END - 1)


def taken(parts: Parts) -> list[int]:
    """Take all that can be taken."""
    found = []
    while (chunk := parts.take()) is not None:
        found.append(chunk.index)
    return found


@given(arrivals=st.lists(st.integers(0, END - 1)), start=st.integers(0, END))
def test_parts_come_in_order_and_once(arrivals: list[int], start: int) -> None:
    """Whatever is lost, doubled or overtaken, nobody gets a part twice or out of order."""
    parts = Parts(start)
    got: list[int] = []
    for index in arrivals:
        parts.put(chunk(index))
        got += taken(parts)

    assert list(range(start, parts.next)) == got


@given(lost=st.sets(st.integers(0, END - 1)), order=st.permutations(range(END)))
def test_gap_is_named_until_it_is_closed(lost: set[int], order: list[int]) -> None:
    """What lacks before something that came is known, and nothing lacks when it came after all."""
    parts = Parts()
    for index in order:
        if index not in lost:
            parts.put(chunk(index))
    got = taken(parts)
    gap = parts.gap
    later = set(range(END)) - lost - set(got)

    assert (min(lost), min(later)) == gap if later else gap is None
    for index in sorted(lost):
        parts.put(chunk(index))
    assert list(range(len(got), END)) == taken(parts)
    assert parts.is_whole
    assert parts.gap is None


def test_end_without_the_last_chunk_is_a_gap() -> None:
    """The answer says how many there were."""
    parts = Parts()
    parts.put(chunk(0))
    taken(parts)
    before = parts.gap
    parts.end = 3

    assert (None, (1, 3), False) == (before, parts.gap, parts.is_whole)


def test_what_is_far_ahead_is_not_kept() -> None:
    """Nobody can fill our memory with chunks that are not their turn."""
    parts = Parts()

    assert [True, False] == [parts.put(chunk(index)) for index in (AHEAD_CHUNKS - 1, AHEAD_CHUNKS)]


@given(sizes=st.lists(st.integers(1, WINDOW_BYTES), max_size=100), data=st.data())
def test_window_is_bounded(sizes: list[int], data: st.DataObject) -> None:
    """No more than so many chunks, and no more than so many bytes and one chunk, are on their way."""
    window = Window()
    for size in sizes:
        while window.is_full:
            assert window.take(data.draw(st.integers(window.taken + 1, window.sent + 5)))
        window.send(size)

        assert window.sent - window.taken <= WINDOW_CHUNKS
        assert sum(sizes[window.taken : window.sent - 1]) < WINDOW_BYTES


def test_old_news_change_nothing() -> None:
    """What was told twice, or late, opens no window."""
    window = Window()
    for _ in range(3):
        window.send(1)

    assert [True, False, False] == [window.take(2), window.take(2), window.take(1)]
    assert (3, 2) == (window.sent, window.taken)


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ([], b""),
        (["tea", {"b": 1.0, "a": None}], b'"tea"\n{"a":null,"b":1}\n'),
        ([b"\x00\x01"], b'"AAE="\n'),
    ],
    ids=["nothing", "texts", "bytes"],
)
def test_digest_is_that_of_the_canonical_texts(parts: list[Any], lines: bytes) -> None:
    """Both ends count the same, whatever codec the parts travelled in."""
    digest = Digest()
    for part in parts:
        digest.add(part)

    assert hashlib.sha256(lines).hexdigest() == digest.text


def test_what_has_no_canonical_text_has_no_digest() -> None:
    """JSON cannot say NaN, and msgpack can."""
    digest = Digest()
    for part in (1, float("nan"), 2):
        digest.add(part)

    assert digest.text is None
