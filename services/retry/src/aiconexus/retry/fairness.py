"""Whose turn it is: one queue for each sender, taken in turn, so that nobody waits behind another's storm."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """
    What waits, by sender.

    Args:
        length_max: How much of one sender may wait.
        running_max: How much of one sender may be taken and not yet be finished.

    """

    def __init__(self, length_max: int, running_max: int) -> None:
        self._length_max = length_max
        self._running_max = running_max
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()
        self._running: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, sender: str, item: Item) -> bool:
        """
        Let something wait for its sender's turn.

        Returns:
            False if too much of this sender waits already.

        """
        queue = self._waiting.setdefault(sender, deque())
        if len(queue) >= self._length_max:
            return False
        queue.append(item)
        self._count += 1
        return True

    def take(self) -> tuple[str, Item] | None:
        """
        Take from the sender whose turn it is; call ``finish`` afterwards.

        Returns:
            None if nothing may be taken.

        """
        for sender in self._waiting:
            if self._running.get(sender, 0) < self._running_max:
                break
        else:
            return None
        queue = self._waiting[sender]
        item = queue.popleft()
        self._count -= 1
        self._running[sender] = self._running.get(sender, 0) + 1
        if queue:
            self._waiting.move_to_end(sender)
        else:
            del self._waiting[sender]
        return sender, item

    def finish(self, sender: str) -> None:
        """Something that was taken is finished."""
        left = self._running[sender] - 1
        if left:
            self._running[sender] = left
        else:
            del self._running[sender]


class Slots:
    """
    When what was put off may come back: so much of one sender in a second, one after the other.

    Args:
        rate_per_second: For each sender.
        senders_max: The one that was quiet longest is forgotten first.

    """

    def __init__(self, rate_per_second: float, senders_max: int) -> None:
        self._interval_ms = 1000 / rate_per_second
        self._senders_max = senders_max
        self._taken_ms: OrderedDict[str, float] = OrderedDict()

    def next_ms(self, sender: str, now_ms: int) -> int:
        """Take the sender's next free moment."""
        taken = max(self._taken_ms.pop(sender, 0.0), now_ms) + self._interval_ms
        self._taken_ms[sender] = taken
        if len(self._taken_ms) > self._senders_max:
            self._taken_ms.popitem(last=False)
        return int(taken)
