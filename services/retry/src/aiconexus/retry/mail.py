"""What the service asks of the relay, which owns the mailboxes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiconexus.protocol.bodies import Body
from aiconexus.protocol.errors import MalformedEnvelope, RequestTimedOut
from aiconexus.protocol.job_bodies import LOOK_MAX, PLACE_MAX, Look, Looked, Place, Placed, PlacedItem, PlaceItem
from aiconexus.retry.bundles import Bundles

PLACE_MAX_BYTES = 512 * 1024
UNAVAILABLE = frozenset({"unavailable", "timeout", "internal"})
"""Problems of the relay itself: they say nothing about the recipient, so they are no failed attempts."""

Ask = Callable[[str, Body], Awaitable[Body]]
"""Puts a signed question to the relay: the verb, and the question."""

B = TypeVar("B", bound=Body)


class Mail:
    """
    The mailboxes, as far as the relay lets us.

    Args:
        ask: Asks the relay.

    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._placing: Bundles[PlaceItem, PlacedItem] = Bundles(
            self._place, items_max=PLACE_MAX, size_of=lambda item: len(item.envelope), size_max=PLACE_MAX_BYTES
        )
        self._looking: Bundles[int, bool] = Bundles(self._look, items_max=LOOK_MAX // 10)
        self._removing: Bundles[int, bool] = Bundles(self._remove, items_max=LOOK_MAX // 10)

    async def place(self, letter: bytes, attempt: int) -> PlacedItem:
        """
        Put a sealed envelope into its recipient's mailbox.

        Returns:
            Its place, or what the relay has against it.

        Raises:
            BusError: If the relay or its stream is away.
            RemoteProblem: If the relay did not even look at it.

        """
        item = await self._placing.add(PlaceItem(envelope=letter, attempt=attempt))
        if item.problem in UNAVAILABLE:
            raise RequestTimedOut("relay", 0)
        return item

    async def has(self, sequence: int) -> bool:
        """
        Whether an entry is still in its mailbox.

        Raises:
            BusError: If the relay or its stream is away.
            RemoteProblem: If the relay did not even look.

        """
        return await self._looking.add(sequence)

    async def remove(self, sequence: int) -> bool:
        """
        Take an entry out of its mailbox.

        Returns:
            Whether it was there.

        Raises:
            BusError: If the relay or its stream is away.
            RemoteProblem: If the relay did not even look.

        """
        return await self._removing.add(sequence)

    async def _place(self, items: Sequence[PlaceItem]) -> Sequence[PlacedItem]:
        answer = _expected(await self._ask("place", Place(items=tuple(items))), Placed)
        if len(answer.items) != len(items):
            reason = f"{len(answer.items)} answers to {len(items)} questions"
            raise MalformedEnvelope(reason)
        return answer.items

    async def _look(self, sequences: Sequence[int]) -> Sequence[bool]:
        return await self._present(sequences, remove=False)

    async def _remove(self, sequences: Sequence[int]) -> Sequence[bool]:
        return await self._present(sequences, remove=True)

    async def _present(self, sequences: Sequence[int], *, remove: bool) -> Sequence[bool]:
        answer = _expected(await self._ask("look", Look(sequences=tuple(sequences), remove=remove)), Looked)
        present = frozenset(answer.present)
        return [sequence in present for sequence in sequences]


def _expected(answer: Body, class_: type[B]) -> B:
    if not isinstance(answer, class_):
        reason = f"a {answer.TYPE} is no {class_.TYPE}"
        raise MalformedEnvelope(reason)
    return answer
