"""What a handler fails at goes to the retry service, once for each attempt, whatever dies in between."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from libs.sdk.tests.wire import SECONDS, Wire, sealed, serving

from aiconexus.bus.testing import new_key
from aiconexus.protocol.bodies import Error, Message, ReceiptStatus
from aiconexus.protocol.delivery_errors import HandlerFailed
from aiconexus.protocol.errors import BusUnavailable, Refused, RemoteProblem
from aiconexus.protocol.job_bodies import Return
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.sdk import Agent, Delivery, Identity
from aiconexus.sdk.returns import named

ALICE = new_key()
POLICY = RetryPolicy(max_retries=2)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A platform with a retry service."""
    wire = Wire()
    wire.retry = new_key()
    async with serving(wire):
        yield wire


class Failing:
    """An agent, the same in every life, whose handler fails until it is told not to."""

    def __init__(self, folder: Path) -> None:
        self.runs: list[str] = []
        self.fails = True
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.identity = Identity.load_or_create(folder / "bob.key")

    def agent(self, wire: Wire) -> Agent:
        """One life."""
        agent = Agent(self.identity, wire.url, grace=0.1)
        agent.on("MESSAGE", retry=POLICY)(self.handle)
        agent.on_error(self.errors.put_nowait)
        return agent

    async def handle(self, delivery: Delivery) -> None:
        """Be the handler."""
        self.runs.append(delivery.id)
        if self.fails:
            raise ValueError("not yet")


@pytest.fixture
def failing(tmp_path: Path) -> Failing:
    """Who fails."""
    return Failing(tmp_path)


async def next_returned(wire: Wire) -> Return:
    """What was given back next."""
    async with asyncio.timeout(SECONDS):
        return await wire.returned.get()


async def test_failed_attempt_is_given_back_before_it_is_acknowledged(wire: Wire, failing: Failing) -> None:
    """The retry service gets the envelope as it was signed, and the next place in the mailbox is the next attempt."""
    data = sealed(ALICE, Message(content="hard"), failing.identity.did)
    async with failing.agent(wire):
        await wire.push(data, 3, 0)
        first = await next_returned(wire)
        await wire.acked_up_to(3)
        failing.fails = False
        await wire.push(data, 8, 3)
        await wire.next_receipt(ReceiptStatus.PROCESSED)
        await wire.push(data, 9, 8)
        await wire.acked_up_to(9)

    expected = Return(envelope=data, sequence=3, message="ValueError: not yet", policy=POLICY)
    assert expected == first
    assert 2 == len(failing.runs)
    assert wire.returned.empty()


async def test_attempt_is_given_back_by_the_next_life(wire: Wire, failing: Failing) -> None:
    """An agent that dies before its failure was taken does not run the same attempt twice."""
    wire.takes_returns = False
    data = sealed(ALICE, Message(content="hard"), failing.identity.did)
    async with failing.agent(wire):
        await wire.push(data, 3, 0)
        first = await next_returned(wire)
    wire.takes_returns = True
    async with failing.agent(wire):
        second = await next_returned(wire)
        await wire.acked_up_to(3)

    assert (3, 3) == (first.sequence, second.sequence)
    assert second.envelope == data
    assert 1 == len(failing.runs)


async def test_next_attempt_may_overtake_the_answer(wire: Wire, failing: Failing) -> None:
    """The retry service may have taken it although we do not know yet; the attempt that comes is not lost."""
    wire.takes_returns = False
    data = sealed(ALICE, Message(content="hard"), failing.identity.did)
    async with failing.agent(wire):
        await wire.push(data, 3, 0)
        await next_returned(wire)
        failing.fails = False
        await wire.push(data, 4, 3)
        receipt = await wire.next_receipt(ReceiptStatus.PROCESSED)

    assert failing.runs == [receipt.id] * 2


async def test_without_a_retry_service_it_is_a_dead_letter(wire: Wire, failing: Failing) -> None:
    """The sender is told at once, and the application hears why nobody tries again."""
    wire.retry = None
    async with failing.agent(wire):
        await wire.push(sealed(ALICE, Message(content="hard"), failing.identity.did), 1, 0)
        receipt = await wire.next_receipt(ReceiptStatus.DEAD_LETTERED)
    errors = [str(failing.errors.get_nowait()) for _ in range(failing.errors.qsize())]

    assert "handler_failed" == receipt.problem
    assert errors == ["not yet", "refused: this platform has no retry service"]


async def test_nothing_is_left_to_a_retry_service_that_is_not_there(wire: Wire, failing: Failing) -> None:
    """Whoever asks for retries on a platform without them is refused with a sentence."""
    wire.retry = None
    async with failing.agent(wire) as agent:
        with pytest.raises(Refused, match="no retry service"):
            await agent.send(ALICE.did, "hello", retry=POLICY)
        with pytest.raises(BusUnavailable, match="no such service"):
            await agent.jobs.show("z6Mk.a")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (None, ("handler_failed", True)),
        (ValueError(), ("handler_failed", True)),
        (Refused(""), ("refused", False)),
        (HandlerFailed("a"), ("handler_failed", False)),
        (BusUnavailable((), ""), ("unavailable", True)),
        (RemoteProblem("x", Error(code="X", message="", problem="busy", retryable=True)), ("busy", True)),
        (RemoteProblem("x", Error(code="X", message="", problem="No name!")), ("handler_failed", True)),
    ],
    ids=repr,
)
def test_failure_says_whether_it_is_worth_another_attempt(
    failure: Exception | None, expected: tuple[str, bool]
) -> None:
    """An error of the project does, any other exception may be different next time."""
    assert expected == named(failure)
