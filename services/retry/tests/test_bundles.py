"""One question for many."""

import asyncio
from collections.abc import Sequence

import pytest

from aiconexus.protocol.errors import NoResponders
from aiconexus.retry.bundles import Bundles


class Oracle:
    """Somebody who answers each number with its double, when allowed to."""

    def __init__(self) -> None:
        self.questions: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def ask(self, numbers: Sequence[int]) -> Sequence[int]:
        """Answer."""
        self.questions.append(list(numbers))
        await self.may_answer.wait()
        if -1 in numbers:
            raise NoResponders("oracle")
        return [2 * number for number in numbers]


@pytest.fixture
def oracle() -> Oracle:
    """Answers at once."""
    return Oracle()


async def test_what_is_wanted_together_is_asked_together(oracle: Oracle) -> None:
    """Everything that is wanted at one moment goes into one question, up to the limit."""
    bundles: Bundles[int, int] = Bundles(oracle.ask, items_max=3, lanes=1)

    assert [0, 2, 4, 6] == await asyncio.gather(*map(bundles.add, range(4)))
    assert [[0, 1, 2], [3]] == oracle.questions


async def test_size_bounds_a_question(oracle: Oracle) -> None:
    """A question is no larger than allowed, unless one item alone is."""
    bundles: Bundles[int, int] = Bundles(oracle.ask, items_max=10, size_of=lambda number: number, size_max=10, lanes=1)
    await asyncio.gather(*map(bundles.add, [4, 6, 1, 30, 2]))

    assert [[4, 6], [1], [30], [2]] == oracle.questions


async def test_error_reaches_everybody_in_the_bundle(oracle: Oracle) -> None:
    """Whoever wanted something in a question that failed gets the error; the next question is asked nevertheless."""
    bundles: Bundles[int, int] = Bundles(oracle.ask, items_max=2, lanes=1)
    answers = await asyncio.gather(*map(bundles.add, [1, -1, 5]), return_exceptions=True)

    assert [NoResponders, NoResponders, int] == [type(answer) for answer in answers]


async def test_nobody_is_forgotten(oracle: Oracle) -> None:
    """What is wanted in the very moment in which all lanes end is asked, too."""
    bundles: Bundles[int, int] = Bundles(oracle.ask, items_max=1, lanes=2)

    async def chain(number: int) -> int:
        for _ in range(50):
            await bundles.add(number)
        return number

    async with asyncio.timeout(5):
        assert [1, 2, 3] == await asyncio.gather(*map(chain, [1, 2, 3]))


async def test_who_gives_up_waiting_harms_nobody(oracle: Oracle) -> None:
    """A cancelled wish does not take those that were asked along with it."""
    bundles: Bundles[int, int] = Bundles(oracle.ask, items_max=2, lanes=1)
    oracle.may_answer.clear()
    given_up, patient = asyncio.ensure_future(bundles.add(1)), asyncio.ensure_future(bundles.add(2))
    async with asyncio.timeout(5):
        while not oracle.questions:
            await asyncio.sleep(0)
    given_up.cancel()
    oracle.may_answer.set()

    assert 4 == await patient
