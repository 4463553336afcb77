"""What is the same question."""

from typing import Any

import msgspec
import pytest

from aiconexus.protocol.bodies import Body, ExecRequest, Intent, Message
from aiconexus.protocol.digests import digest_of, digest_of_call
from aiconexus.protocol.envelope import Envelope
from aiconexus.protocol.seal import Codec, read_body, write_body


def digest(body: Body, codec: Codec = Codec.MSGPACK) -> bytes:
    """The digest of an envelope that was read."""
    envelope = Envelope(
        version=1,
        id="a",
        type=body.TYPE,
        sender="did:key:zA",
        recipient="did:key:zB",
        created_ms=1,
        body=write_body(body, codec),
    )
    return digest_of(envelope, read_body(envelope, codec))


@pytest.mark.parametrize(
    "body",
    [
        ExecRequest(capability="a", args={"b": 1, "a": [1.0, None, "ö"], "c": b"\x00"}),
        Intent(task="buy", params={"price": 4.5}),
    ],
    ids=["EXEC_REQUEST", "INTENT"],
)
def test_same_question_in_another_codec(body: Body) -> None:
    """Whoever asks again may be on another road."""
    assert digest(body) == digest(body, Codec.JSON) == digest_of_call(body)


def test_how_long_it_may_take_is_no_part_of_the_question() -> None:
    """Whoever asks again may wait longer."""
    first = ExecRequest(capability="a", timeout_ms=1, ceiling_ms=2, begin_ms=3)

    assert digest(first) == digest(ExecRequest(capability="a", timeout_ms=9))


@pytest.mark.parametrize("change", [{"capability": "b"}, {"args": {"x": 2}}, {"stream": True}], ids=repr)
def test_another_question_is_another(change: dict[str, Any]) -> None:
    """Everything else counts."""
    body = ExecRequest(capability="a", args={"x": 1})

    assert digest(body) != digest(msgspec.structs.replace(body, **change))


def test_what_only_msgpack_can_say_counts_too() -> None:
    """The order of keys does not."""
    one, other = ({"a": float("inf"), "b": 1}, {"b": 1, "a": float("inf")})

    assert digest(ExecRequest(args=one)) == digest(ExecRequest(args=other))


def test_messages_are_their_bytes() -> None:
    """What is no call is compared as it came."""
    assert digest(Message(content=1)) != digest(Message(content=2))
