"""Whose turn it is."""

from aiconexus.retry.fairness import FairQueue, Slots

NOW_MS = 1_000_000


def taken(queue: FairQueue[int]) -> list[tuple[str, int]]:
    """Take and finish until nothing is left."""
    all_taken = []
    while (one := queue.take()) is not None:
        all_taken.append(one)
        queue.finish(one[0])
    return all_taken


def test_senders_take_turns() -> None:
    """One of each sender, then the next of each; the order of one sender is kept."""
    queue: FairQueue[int] = FairQueue(10, 10)
    for number in range(3):
        queue.put("a", number)
    queue.put("b", 10)

    assert [("a", 0), ("b", 10), ("a", 1), ("a", 2)] == taken(queue)
    assert 0 == len(queue)


def test_sender_has_so_much_room() -> None:
    """What exceeds a sender's room is refused, and another sender's is not."""
    queue: FairQueue[int] = FairQueue(2, 10)

    assert [True, True, False] == [queue.put("a", number) for number in range(3)]
    assert queue.put("b", 1)


def test_sender_has_so_much_under_way() -> None:
    """Who has all under way that it may have waits until something is finished; others go on."""
    queue: FairQueue[int] = FairQueue(10, 1)
    for sender in ("a", "a", "b"):
        queue.put(sender, 0)
    first, second, none = queue.take(), queue.take(), queue.take()
    queue.finish("a")

    assert (("a", 0), ("b", 0), None) == (first, second, none)
    assert ("a", 0) == queue.take()


def test_slots_follow_each_other() -> None:
    """A sender's slots lie one interval apart, and begin anew after a rest."""
    slots = Slots(10, 100)

    assert [NOW_MS + 100, NOW_MS + 200] == [slots.next_ms("a", NOW_MS) for _ in range(2)]
    assert NOW_MS + 100 == slots.next_ms("b", NOW_MS)
    assert NOW_MS + 5_100 == slots.next_ms("a", NOW_MS + 5_000)


def test_slots_of_the_quietest_are_forgotten() -> None:
    """Only so many senders are remembered."""
    slots = Slots(10, 1)
    slots.next_ms("a", NOW_MS)
    slots.next_ms("b", NOW_MS)

    assert NOW_MS + 100 == slots.next_ms("a", NOW_MS)
