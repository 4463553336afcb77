from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError

from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.wire import CONTROL_LINE_MAX_BYTES, MessageParser, headers_of, publication

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1)
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).map(str.strip)


class Recorder:
    """A client that remembers what its parser told it."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        self.told.append((sid, subject, reply, data, headers))

    async def _process_ping(self) -> None:
        self.told.append("PING")

    async def _process_pong(self) -> None:
        self.told.append("PONG")


STREAM = (
    b"MSG a.b 1 5\r\nhello\r\n"
    b"PING\r\n"
    b"MSG a.b 2 reply.to 0\r\n\r\n"
    b"HMSG c 3 23 25\r\nNATS/1.0\r\nName: value\r\nhi\r\n"
    b"HMSG c 3 reply.to 12 14\r\nNATS/1.0\r\n\r\n\r\n\r\n"
    b"PONG\r\n"
)
TOLD = [
    (1, b"a.b", b"", b"hello", None),
    "PING",
    (2, b"a.b", b"reply.to", b"", None),
    (3, b"c", b"", b"hi", b"NATS/1.0\r\nName: value\r\n"),
    (3, b"c", b"reply.to", b"\r\n", b"NATS/1.0\r\n\r\n"),
    "PONG",
]


@pytest.mark.parametrize("size", [1, 2, 7, 30, 1000])
async def test_messages_arrive_however_the_bytes_are_cut(size: int) -> None:
    """The parser tells the same, whatever the chunks in which the socket gives the bytes."""
    client = Recorder()
    parser = MessageParser(client)
    for start in range(0, len(STREAM), size):
        await parser.parse(STREAM[start : start + size])

    assert client.told == TOLD


async def test_a_new_connection_starts_clean() -> None:
    """What an old connection left half said does not become part of what the new one says."""
    client = Recorder()
    parser = MessageParser(client)
    await parser.parse(b"MSG a.b 1 500\r\nhel")
    parser.reset()
    await parser.parse(STREAM)

    assert client.told == TOLD


@pytest.mark.parametrize(
    "said",
    [
        b"MSG a\r\n",
        b"MSG a b c d\r\n",
        b"HMSG a 1 x 5\r\nhello\r\n",
        b"nonsense\r\n",
        b"x" * (CONTROL_LINE_MAX_BYTES + 1),
    ],
)
async def test_nonsense_ends_the_connection(said: bytes) -> None:
    """What no server says is an error, not something to wait for."""
    parser = MessageParser(Recorder())
    with pytest.raises(ProtocolError):
        await parser.parse(said)


@pytest.mark.parametrize(
    ("block", "headers"),
    [
        pytest.param(b"NATS/1.0\r\n\r\n", None, id="empty"),
        pytest.param(b"NATS/1.0 503\r\n\r\n", {"Status": "503"}, id="status"),
        pytest.param(
            b"NATS/1.0 404 No Messages\r\n\r\n", {"Status": "404", "Description": "No Messages"}, id="description"
        ),
        pytest.param(b"NATS/1.0\r\nA:1\r\nB:  2 \r\n\r\n", {"A": "1", "B": "2"}, id="spaces"),
        pytest.param(
            b"NATS/1.0\r\nno colon\r\nA b: 1\r\n\xff: 2\r\nC: \xff\r\n\r\n", {"C": "\ufffd"}, id="what is no header"
        ),
        pytest.param(b"NATS/1.0 what\r\n\r\n", None, id="no status"),
    ],
)
def test_headers_are_read(block: bytes, headers: dict[str, str] | None) -> None:
    """Headers and status lines are read as the server writes them; the rest is left out."""
    assert headers_of(block) == headers


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), st.binary(max_size=50))
async def test_what_is_written_is_read(headers: dict[str, str], data: bytes) -> None:
    """A publication with headers reads back as it was given."""
    client = Recorder()
    written = publication("a.b", data, "r", headers)
    await MessageParser(client).parse(written.replace(b"HPUB a.b r", b"HMSG a.b 1 r", 1))
    _, subject, reply, read, block = client.told[0]

    assert (subject, reply, read, headers_of(block)) == (b"a.b", b"r", data, headers)


@pytest.mark.parametrize(
    ("subject", "reply", "headers"),
    [
        ("", "", None),
        ("a b", "", None),
        ("a\r\nPUB x", "", None),
        ("a", "b c", None),
        ("a", "", {"A": "1\r\nNats-Rollup: all"}),
        ("a", "", {"A": "1\n"}),
        ("a", "", {"A\r": "1"}),
    ],
)
def test_nothing_breaks_out_of_its_place(subject: str, reply: str, headers: dict[str, str] | None) -> None:
    """A subject or a header that would end its line is an error of ours."""
    with pytest.raises(ValueError, match="not"):
        publication(subject, b"x", reply, headers)


async def test_the_short_way_carries_headers_and_survives_its_handler(session: Session) -> None:
    """A direct handler gets what a queued one would, and its exception does not end the reading."""
    heard: list[tuple[str, bytes, Any]] = []

    async def hear(incoming: Incoming) -> None:
        heard.append((incoming.subject, incoming.data, incoming.headers))
        raise LookupError

    subscription = await session.subscribe("short.*", hear, direct=True)
    await session.publish("short.1", b"x", headers={"A": "1"})
    await session.publish("short.2", b"y")
    await session.barrier()
    await subscription.unsubscribe()
    await session.publish("short.3", b"z")
    await session.barrier()

    assert heard == [("short.1", b"x", {"A": "1"}), ("short.2", b"y", None)]
