from typing import Any

import pytest

from aiconexus.protocol.bodies import Body, Message, Ping
from aiconexus.protocol.errors import AiconexusError, EnvelopeStale, ForeignSender, MalformedEnvelope, UnsupportedType
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.seal import Codec, compose
from aiconexus.protocol.signal_bodies import Hello
from aiconexus.signaling.admission import read_live

ANN, BOB = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
NOW = 1_700_000_000_000
HELLO = Hello(session="s", role="offerer", fingerprints=("x",), peer_fingerprints=("y",), offer_hash=bytes(32))


def sealed(body: Body | None = None, **options: Any) -> bytes:
    """From Ann to Bob, now."""
    given: dict[str, Any] = {"id_": "i", "now_ms": NOW} | options
    return compose(body or Ping(sequence=1), ANN, BOB.did, **given)


@pytest.mark.parametrize("codec", list(Codec))
def test_a_live_envelope_passes(codec: Codec) -> None:
    """What is meant for who is connected is read, in both codecs."""
    assert read_live(sealed(codec=codec), ANN.token, NOW).envelope.type == "PING"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"", MalformedEnvelope, id="empty"),
        pytest.param(sealed(Message(content=1)), UnsupportedType, id="stored type"),
        pytest.param(sealed(HELLO), UnsupportedType, id="what belongs into a channel"),
        pytest.param(sealed(now_ms=NOW - 100_000), EnvelopeStale, id="stale"),
        pytest.param(sealed(now_ms=NOW + 100_000), EnvelopeStale, id="from the future"),
    ],
)
def test_what_is_not_live_is_refused_unread(data: bytes, error: type[AiconexusError]) -> None:
    """Only live types go to who is connected, and only within the freshness."""
    with pytest.raises(error):
        read_live(data, ANN.token, NOW)


def test_nobody_speaks_for_others() -> None:
    """The sender is the one whom the bus has authenticated, whatever is signed."""
    with pytest.raises(ForeignSender):
        read_live(sealed(), BOB.token, NOW)
