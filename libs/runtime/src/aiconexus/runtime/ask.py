"""A signed question from one service to another, and an answer that is believed only if that service signed it."""

from typing import TYPE_CHECKING, Any

from aiconexus.bus.clock import new_id, now_ms
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Body, Error
from aiconexus.protocol.envelope import check_fresh
from aiconexus.protocol.errors import ForeignSender, MalformedEnvelope, RemoteProblem
from aiconexus.protocol.limits import REPLY_MAX_BYTES
from aiconexus.protocol.seal import Letter, unseal

if TYPE_CHECKING:
    from aiconexus.runtime.context import Context


async def ask(context: "Context[Any]", service: str, verb: str, body: Body, *, timeout_seconds: float = 5.0) -> Letter:
    """
    Ask a service and await its verified answer.

    Args:
        context: Of the service that asks.
        service: Its name in the directory.
        verb: The last part of the subject.
        body: The question.
        timeout_seconds: For the one try that this is.

    Raises:
        RemoteProblem: If the service answered with an ERROR.
        BusError: If nobody answered.
        EnvelopeError: If the answer is not acceptable.
        IdentityError: If it is not that service's.
        SettingsError: If the directory does not name the service.

    """
    did = context.directory.did_of(service)
    id_ = new_id()
    question = context.voice.say(body, did, id_=id_)
    subject = subjects.service(service, verb)
    incoming = await context.session.request(subject, question, timeout_seconds=timeout_seconds)
    letter = unseal(incoming.data, REPLY_MAX_BYTES)
    _check(letter, did, context.voice.did, id_)
    answer = letter.body
    if isinstance(answer, Error):
        raise RemoteProblem(did, answer)
    return letter


def _check(letter: Letter, did: str, own: str, id_: str) -> None:
    envelope = letter.envelope
    if envelope.sender != did:
        raise ForeignSender(envelope.sender, did)
    if envelope.recipient != own or envelope.in_reply_to != id_:
        reason = "it answers another question"
        raise MalformedEnvelope(reason)
    check_fresh(envelope, now_ms())
