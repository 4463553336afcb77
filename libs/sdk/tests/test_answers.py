"""Which envelope counts as an answer."""

import pytest

from aiconexus.protocol.bodies import Body, Error, Pong, Receipt, ReceiptItem, ReceiptStatus
from aiconexus.protocol.errors import ForeignSender, InvalidSignature, MalformedEnvelope, RemoteProblem
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import compose
from aiconexus.sdk.answers import check_answer, read_answer, receipt_for

ME, RELAY, EDGE, STRANGER = (SigningKey(bytes([number]) * 32) for number in range(1, 5))


def answer(body: Body, key: SigningKey = RELAY, to: str = ME.did, in_reply_to: str | None = "mine") -> bytes:
    """A sealed answer."""
    return compose(body, key, to, id_="answer", now_ms=1, in_reply_to=in_reply_to)


def check(data: bytes) -> Body:
    """Accept an answer of the relay to the request ``mine``."""
    return check_answer(read_answer(data), "mine", ME.did, RELAY.did, frozenset({RELAY.did, EDGE.did}))


def test_answer_of_the_one_who_was_asked_counts() -> None:
    """The right signer and the right request make an answer."""
    assert check(answer(Pong(sequence=1))) == Pong(sequence=1)


def test_batch_of_receipts_answers_each_request_in_it() -> None:
    """One RECEIPT may answer many requests; each finds its line."""
    body = Receipt(items=tuple(ReceiptItem(id=id_, status=ReceiptStatus.STORED) for id_ in ("other", "mine")))
    item = receipt_for(check(answer(body, in_reply_to=None)), "mine")

    assert item == ReceiptItem(id="mine", status=ReceiptStatus.STORED)


def test_batch_without_our_request_is_no_answer() -> None:
    """A RECEIPT about others says nothing to us."""
    body = Receipt(items=(ReceiptItem(id="other", status=ReceiptStatus.STORED),))

    with pytest.raises(MalformedEnvelope):
        check(answer(body, in_reply_to=None))


@pytest.mark.parametrize("key", [EDGE, STRANGER], ids=["another service", "a stranger"])
def test_foreign_answer_is_refused(key: SigningKey) -> None:
    """Nobody answers for somebody else."""
    with pytest.raises(ForeignSender):
        check(answer(Pong(sequence=1), key))


def test_service_in_between_may_refuse() -> None:
    """The edge may say no to what never reached the relay."""
    with pytest.raises(RemoteProblem, match="too fast"):
        check(answer(Error(code="X", message="too fast"), EDGE))


def test_stranger_may_not_refuse() -> None:
    """An ERROR of a stranger does not end our request."""
    with pytest.raises(ForeignSender):
        check(answer(Error(code="X", message="no"), STRANGER))


def test_answer_to_somebody_else_is_refused() -> None:
    """An answer that was aimed at us but meant for another is none."""
    with pytest.raises(MalformedEnvelope):
        check(answer(Pong(sequence=1), to=STRANGER.did))


def test_answer_to_another_request_is_refused() -> None:
    """An old answer is not the answer to a new request."""
    with pytest.raises(MalformedEnvelope):
        check(answer(Pong(sequence=1), in_reply_to="older"))


def test_forged_answer_is_refused() -> None:
    """The signature is checked before anything is believed."""
    data = answer(Pong(sequence=1))

    with pytest.raises(InvalidSignature):
        read_answer(data[:-1] + bytes([data[-1] ^ 1]))
