"""
Whether an envelope between two agents may pass: what a service that carries envelopes checks, without I/O or clock.

The cheap checks come first, the signature last: it costs fifty times as much as the others together.
"""

from aiconexus.protocol.bodies import Policy
from aiconexus.protocol.did import PREFIX
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.errors import EnvelopeError, ForeignSender, KeyRevoked, Refused, UnknownAgent
from aiconexus.protocol.records import RegistryRecord
from aiconexus.protocol.seal import Codec, Letter, Sealed, check_seal, peek, read_body, return_of, split

ANSWERS = frozenset(
    {"EXEC_RESPONSE", "PROGRESS", "CHUNK", "RECEIPT", "ERROR", "ANSWER", "ICE_CANDIDATE", "BYE", "PONG"}
)
"""What a recipient that lists its callers takes from others too, because it asked for it."""


def read_from(data: bytes, token: str) -> Letter:
    """
    Read what an agent hands over for another, without believing it.

    Args:
        data: A sealed envelope.
        token: The agent that the bus has authenticated.

    Raises:
        EnvelopeError: If it does not follow the protocol.
        ForeignSender: If it does not come from that agent.

    """
    sealed: Sealed = split(data)
    envelope = peek(sealed)
    if envelope.sender != PREFIX + token:
        raise ForeignSender(envelope.sender, PREFIX + token)
    return Letter(envelope, sealed)


def believe(letter: Letter) -> None:
    """
    Check the body, unless only the recipient can read it, and the signature.

    Raises:
        MalformedEnvelope: If the body is not what the type says.
        InvalidDid: If sender or recipient are no acceptable DIDs.
        InvalidSignature: If it is not the sender's.

    """
    envelope = letter.envelope
    if envelope.encryption is None:
        read_body(envelope, letter.sealed.codec)
    check_seal(letter.sealed, envelope.sender)


def check_sender(did: str, record: RegistryRecord | None) -> None:
    """
    Check what the registry says of who sends or asks something.

    Raises:
        UnknownAgent: If it never registered.
        KeyRevoked: If its key is void.

    """
    if record is None:
        raise UnknownAgent(did)
    if record.revoked_ms:
        raise KeyRevoked(did)


def check_parties(envelope: Envelope, sender: RegistryRecord | None, recipient: RegistryRecord | None) -> None:
    """
    Check what the registry says of both ends.

    A revoked recipient is as good as unknown: nobody reads its mailbox any more.

    Raises:
        UnknownAgent: If one of them never registered, or the recipient is gone for ever.
        KeyRevoked: If the sender's key is void.
        Refused: If the recipient takes envelopes from others only.

    """
    check_sender(envelope.sender, sender)
    if recipient is None or recipient.revoked_ms:
        raise UnknownAgent(envelope.recipient or "")
    if (
        recipient.policy is Policy.LISTED
        and envelope.sender not in recipient.callers
        and not (envelope.type in ANSWERS and envelope.in_reply_to is not None)
    ):
        reason = "the recipient takes envelopes only from those it lists"
        raise Refused(reason)


def return_address(data: bytes) -> tuple[str | None, Codec]:
    """
    The id and the codec that a refusal should answer to, as far as they can be read.

    Nothing of it is believed: whoever sent the bytes gets the answer.
    """
    codec = Codec.MSGPACK
    try:
        sealed = split(data)
        codec = Codec(sealed.codec)
        return return_of(sealed).id, codec
    except EnvelopeError:
        return None, codec
