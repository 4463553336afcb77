"""Open requests: only the one who was asked can answer."""

import asyncio

import pytest

from aiconexus.protocol.bodies import Body, Error, ExecResponse, Message, Outcome, ReceiptStatus
from aiconexus.protocol.delivery_errors import NotAcknowledged
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import RemoteProblem, UnknownAgent
from aiconexus.protocol.seal import write_body
from aiconexus.sdk.calls import Calls, result_of
from aiconexus.sdk.delivery import Delivery, Notice, Sent

CALLEE, STRANGER = "did:key:zCallee", "did:key:zStranger"


async def never(*_: object, **__: object) -> Sent:
    """Nothing is sent in these tests."""
    raise AssertionError


def delivery(body: Body, sender: str = CALLEE, in_reply_to: str | None = "mine") -> Delivery:
    """An envelope that came."""
    envelope = Envelope(
        version=1,
        id="answer",
        type=body.TYPE,
        sender=sender,
        recipient="did:key:zMe",
        created_ms=1,
        in_reply_to=in_reply_to,
        body=write_body(body),
    )
    return Delivery(envelope, body, never)


def notice(status: ReceiptStatus, id_: str = "mine") -> Notice:
    """A receipt that came."""
    return Notice(id=id_, recipient=CALLEE, reporter=CALLEE, status=status, problem="handler_interrupted")


async def test_answer_of_the_callee_is_given_to_the_caller() -> None:
    """What the callee says in reply ends the wait."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)
    came = delivery(Message(content=1))

    assert calls.take(came)
    assert came is await answer


@pytest.mark.parametrize(
    "came",
    [
        pytest.param(delivery(Message(content=1), sender=STRANGER), id="a stranger"),
        pytest.param(delivery(Message(content=1), in_reply_to="other"), id="another request"),
        pytest.param(delivery(Message(content=1), in_reply_to=None), id="no request"),
    ],
)
async def test_foreign_answer_is_left_alone(came: Delivery) -> None:
    """Whoever was not asked does not answer."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)

    assert not calls.take(came)
    assert not answer.done()


async def test_error_of_the_callee_is_raised() -> None:
    """An ERROR in reply is an exception for the caller."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)
    calls.take(delivery(Error(code="X", message="busy", problem="rate_limited")))

    with pytest.raises(RemoteProblem, match="busy"):
        await answer


@pytest.mark.parametrize("status", [ReceiptStatus.DEAD_LETTERED, ReceiptStatus.EXPIRED])
async def test_dead_request_has_no_answer(status: ReceiptStatus) -> None:
    """A request that died ends the wait with the reason."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)
    calls.note(notice(status))

    with pytest.raises(RemoteProblem, match="handler_interrupted"):
        await answer


async def test_other_receipts_leave_the_call_open() -> None:
    """Delivered and processed are no answers."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)
    calls.note(notice(ReceiptStatus.DELIVERED))
    calls.note(notice(ReceiptStatus.PROCESSED))
    calls.note(notice(ReceiptStatus.DEAD_LETTERED, "other"))

    assert not answer.done()


async def test_request_that_cannot_be_stored_fails() -> None:
    """What the relay refuses is not waited for."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)
    calls.fail("mine", UnknownAgent(CALLEE))
    calls.fail("other", UnknownAgent(CALLEE))

    with pytest.raises(UnknownAgent):
        await answer


async def test_late_answer_finds_nobody() -> None:
    """Whoever gave up is not told."""
    calls = Calls()
    calls.give_up("mine", calls.expect("mine", CALLEE))

    assert not calls.take(delivery(Message(content=1)))


async def test_second_answer_changes_nothing() -> None:
    """The first answer counts."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)
    calls.take(delivery(Message(content=1)))
    calls.take(delivery(Message(content=2)))
    calls.note(notice(ReceiptStatus.EXPIRED))
    calls.close()

    assert (await answer).content == 1


async def test_end_of_the_agent_ends_its_calls() -> None:
    """Nobody waits for an agent that is closed."""
    calls = Calls()
    answer = calls.expect("mine", CALLEE)
    calls.close()

    with pytest.raises(NotAcknowledged):
        async with asyncio.timeout(1):
            await answer


def test_result_of_a_call() -> None:
    """A success is its result, and any other answer its content."""
    assert result_of(delivery(ExecResponse(status=Outcome.SUCCESS, result=[1]))) == [1]
    assert result_of(delivery(Message(content="hello"))) == "hello"


def test_failed_call_is_raised() -> None:
    """A failure is an exception that says what the callee said."""
    with pytest.raises(RemoteProblem, match="ValueError: no"):
        result_of(delivery(ExecResponse(status=Outcome.ERROR, error="ValueError: no")))
