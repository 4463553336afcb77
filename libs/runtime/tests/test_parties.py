from typing import Any

import pytest

from aiconexus.protocol.bodies import Body, ExecResponse, Message, Outcome, Policy
from aiconexus.protocol.errors import (
    AiconexusError,
    EnvelopeTooLarge,
    ForeignSender,
    InvalidSignature,
    KeyRevoked,
    MalformedEnvelope,
    Refused,
    UnknownAgent,
)
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES
from aiconexus.protocol.records import RegistryRecord
from aiconexus.protocol.seal import Codec, Sealed, compose, split, wrap
from aiconexus.protocol.signal_bodies import IceCandidate
from aiconexus.runtime.parties import believe, check_parties, read_from, return_address

ANN, BOB = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
NOW = 1_700_000_000_000


def sealed(body: Body | None = None, **options: Any) -> bytes:
    """From Ann to Bob, now."""
    given: dict[str, Any] = {"id_": "i", "now_ms": NOW} | options
    return compose(body or Message(content=1), ANN, BOB.did, **given)


def record(key: SigningKey, **fields: Any) -> RegistryRecord:
    """Somebody who is registered."""
    return RegistryRecord(did=key.did, registered_ms=1, updated_ms=1, **fields)


@pytest.mark.parametrize("codec", list(Codec))
def test_a_proper_envelope_passes(codec: Codec) -> None:
    """What follows the protocol is read and believed, in both codecs."""
    letter = read_from(sealed(codec=codec), ANN.token)
    believe(letter)

    assert letter.envelope.id == "i"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", MalformedEnvelope, id="empty"),
        pytest.param(b"x" * (ENVELOPE_MAX_BYTES + 1), EnvelopeTooLarge, id="oversized"),
        pytest.param(sealed()[:-70], MalformedEnvelope, id="truncated"),
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes, error: type[AiconexusError]) -> None:
    """Each fault has its error."""
    with pytest.raises(error):
        read_from(data, ANN.token)


def test_nobody_speaks_for_others() -> None:
    """The sender is the one whom the bus has authenticated, whatever is signed."""
    with pytest.raises(ForeignSender):
        read_from(sealed(), BOB.token)


def test_a_body_must_be_what_its_type_says() -> None:
    """A body that does not decode comes back to its sender, unless only the recipient can read it."""
    message = sealed()
    broken = wrap(Sealed(1, split(message).payload.replace(b"\xa7content", b"\xa7cantent"), bytes(64)))
    with pytest.raises(MalformedEnvelope):
        believe(read_from(broken, ANN.token))
    veiled = sealed(encryption="x25519")
    hidden = wrap(Sealed(1, split(veiled).payload.replace(b"\xa7content", b"\xa7cantent"), bytes(64)))
    with pytest.raises(InvalidSignature):
        believe(read_from(hidden, ANN.token))


def test_a_forged_signature_is_not_believed() -> None:
    """Signed by somebody else, or not at all."""
    parts = split(sealed())
    with pytest.raises(InvalidSignature):
        believe(read_from(wrap(Sealed(1, parts.payload, bytes(64))), ANN.token))


@pytest.mark.parametrize(
    ("sender", "recipient", "error"),
    [
        pytest.param(None, record(BOB), UnknownAgent, id="unknown sender"),
        pytest.param(record(ANN, revoked_ms=1), record(BOB), KeyRevoked, id="revoked sender"),
        pytest.param(record(ANN), None, UnknownAgent, id="unknown recipient"),
        pytest.param(record(ANN), record(BOB, revoked_ms=1), UnknownAgent, id="revoked recipient"),
        pytest.param(record(ANN), record(BOB, policy=Policy.LISTED), Refused, id="not listed"),
    ],
)
def test_both_ends_must_be_good(
    sender: RegistryRecord | None, recipient: RegistryRecord | None, error: type[AiconexusError]
) -> None:
    """What the registry says of either end can forbid an envelope."""
    with pytest.raises(error):
        check_parties(read_from(sealed(), ANN.token).envelope, sender, recipient)


@pytest.mark.parametrize(
    ("data", "recipient"),
    [
        pytest.param(sealed(), record(BOB), id="anyone"),
        pytest.param(sealed(), record(BOB, policy=Policy.LISTED, callers=(ANN.did,)), id="listed"),
        pytest.param(
            sealed(ExecResponse(status=Outcome.SUCCESS), in_reply_to="x"),
            record(BOB, policy=Policy.LISTED),
            id="an answer",
        ),
        pytest.param(
            sealed(IceCandidate(candidate=""), in_reply_to="x"),
            record(BOB, policy=Policy.LISTED),
            id="a candidate that belongs to an offer",
        ),
    ],
)
def test_who_may_call_may_call(data: bytes, recipient: RegistryRecord) -> None:
    """A recipient takes what its policy allows, and answers to what it asked."""
    check_parties(read_from(data, ANN.token).envelope, record(ANN), recipient)


def test_an_answer_that_answers_nothing_is_refused() -> None:
    """Without the id of a request, an answer needs to be listed like anything else."""
    envelope = read_from(sealed(ExecResponse(status=Outcome.SUCCESS)), ANN.token).envelope
    with pytest.raises(Refused):
        check_parties(envelope, record(ANN), record(BOB, policy=Policy.LISTED))


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (b"", (None, Codec.MSGPACK)),
        (sealed(), ("i", Codec.MSGPACK)),
        (sealed(codec=Codec.JSON), ("i", Codec.JSON)),
        (wrap(Sealed(2, b"{}", bytes(64))), (None, Codec.JSON)),
    ],
)
def test_a_refusal_finds_its_way(data: bytes, address: tuple[str | None, Codec]) -> None:
    """A refusal names the id and uses the codec of what it refuses, as far as they can be read."""
    assert return_address(data) == address
