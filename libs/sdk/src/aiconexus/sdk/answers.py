"""Decide whether an envelope answers a request of ours, whichever way it came."""

from functools import lru_cache

from aiconexus.protocol.bodies import Body, Error, Receipt, ReceiptItem
from aiconexus.protocol.errors import ForeignSender, MalformedEnvelope, RemoteProblem
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Letter, unseal


@lru_cache(maxsize=256)
def read_answer(data: bytes) -> Letter:
    """
    Verify a service's answer; one batch of receipts answers many requests, so the last ones are remembered.

    Raises:
        EnvelopeError: If it is not acceptable.
        IdentityError: If its signature is not.

    """
    return unseal(data, REPLY_MAX_BYTES)


def receipt_for(body: Body, id_: str) -> ReceiptItem | None:
    """The line of a RECEIPT that speaks of this id."""
    if not isinstance(body, Receipt):
        return None
    return next((item for item in body.items if item.id == id_), None)


def check_answer(letter: Letter, id_: str, reader: str, signer: str, others: frozenset[str]) -> Body:
    """
    Accept an answer to our request, or raise what it reports.

    Args:
        letter: Its signature was verified.
        id_: Of our request.
        reader: Our DID.
        signer: Who was asked.
        others: Services that stand in between and may refuse the request.

    Raises:
        ForeignSender: If somebody else answers.
        MalformedEnvelope: If it answers something else.
        RemoteProblem: If it is an ERROR.

    """
    envelope, body = letter.envelope, letter.body
    if envelope.sender != signer and not (isinstance(body, Error) and envelope.sender in others):
        raise ForeignSender(envelope.sender, signer)
    if envelope.recipient != reader:
        raise MalformedEnvelope("an answer to somebody else")
    if envelope.in_reply_to != id_ and receipt_for(body, id_) is None:
        raise MalformedEnvelope("an answer to another request")
    if isinstance(body, Error):
        raise RemoteProblem(envelope.sender, body)
    return body
