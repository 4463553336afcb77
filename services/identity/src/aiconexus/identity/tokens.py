"""Tokens in order, for pages; and tokens or sessions seen lately, for races."""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator

FEW = 64


class SortedTokens:
    """A set that can be read in order from anywhere. What was added is put in its place when somebody reads."""

    __slots__ = ("_added", "_sorted")

    def __init__(self) -> None:
        self._sorted: list[str] = []
        self._added: set[str] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._added)

    def add(self, token: str) -> None:
        """Put a token in that is not there yet."""
        self._added.add(token)

    def discard(self, token: str) -> None:
        """Take a token out, if it is there."""
        if token in self._added:
            self._added.remove(token)
            return
        place = bisect_left(self._sorted, token)
        if place < len(self._sorted) and self._sorted[place] == token:
            del self._sorted[place]

    def after(self, token: str) -> Iterator[str]:
        """All that come later in the order; the set must not change meanwhile."""
        self._settle()
        for place in range(bisect_right(self._sorted, token), len(self._sorted)):
            yield self._sorted[place]

    def _settle(self) -> None:
        if len(self._added) > FEW:
            self._sorted += self._added
            self._sorted.sort()
        else:
            for token in self._added:
                insort(self._sorted, token)
        self._added.clear()


class Recent:
    """
    What was seen lately; the oldest is forgotten.

    Args:
        size: How many are remembered.

    """

    __slots__ = ("_seen", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen: OrderedDict[str, None] = OrderedDict()

    def add(self, text: str) -> None:
        """Remember."""
        self._seen[text] = None
        self._seen.move_to_end(text)
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)

    def __contains__(self, text: str) -> bool:
        return text in self._seen
