from typing import Any

import pytest

from aiconexus.protocol.bodies import Body, Message, Ping
from aiconexus.protocol.errors import (
    AiconexusError,
    EnvelopeExpired,
    EnvelopeStale,
    EnvelopeTooLarge,
    ForeignSender,
    MalformedEnvelope,
    UnsupportedType,
    UnsupportedVersion,
)
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES, LIFETIME_MAX_MS
from aiconexus.protocol.seal import Codec, Sealed, compose, split, wrap
from aiconexus.relay.admission import read_stored

ANN, BOB = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
NOW = 1_700_000_000_000


def sealed(body: Body | None = None, **options: Any) -> bytes:
    """From Ann to Bob, now."""
    given: dict[str, Any] = {"id_": "i", "now_ms": NOW} | options
    return compose(body or Message(content=1), ANN, BOB.did, **given)


@pytest.mark.parametrize("codec", list(Codec))
def test_a_proper_envelope_passes(codec: Codec) -> None:
    """What follows the protocol is read, in both codecs."""
    assert read_stored(sealed(codec=codec), ANN.token, NOW).envelope.id == "i"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", MalformedEnvelope, id="empty"),
        pytest.param(b"x" * (ENVELOPE_MAX_BYTES + 1), EnvelopeTooLarge, id="oversized"),
        pytest.param(sealed()[:-70], MalformedEnvelope, id="truncated"),
        pytest.param(sealed(Ping(sequence=1)), UnsupportedType, id="live type"),
        pytest.param(sealed(now_ms=NOW - 10, expires_ms=NOW - 1), EnvelopeExpired, id="expired"),
        pytest.param(sealed(now_ms=NOW + 100_000), EnvelopeStale, id="from the future"),
        pytest.param(sealed(expires_ms=NOW + LIFETIME_MAX_MS + 1), MalformedEnvelope, id="too long a life"),
        pytest.param(
            wrap(Sealed(1, split(sealed()).payload.replace(b"\xa7version\x01", b"\xa7version\x02"), bytes(64))),
            UnsupportedVersion,
            id="another version",
        ),
    ],
)
def test_what_cannot_be_stored_is_refused_unread(data: bytes, error: type[AiconexusError]) -> None:
    """Each fault has its error."""
    with pytest.raises(error):
        read_stored(data, ANN.token, NOW)


def test_nobody_speaks_for_others() -> None:
    """The sender is the one whom the bus has authenticated, whatever is signed."""
    with pytest.raises(ForeignSender):
        read_stored(sealed(), BOB.token, NOW)
