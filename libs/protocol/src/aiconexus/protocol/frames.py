"""
What passes through the system channel between two agents: data channel 0, label ``aiconexus``, ordered and reliable.

A binary message is a sealed envelope (see ``seal``), a text message that begins with ``{`` one of ioap.v1 (see
``text``), and every other text message is a JSON array: a word and what it is about. These words are not signed: they
count only after the HELLO of both sides, in a channel whose keys that HELLO has bound to the two DIDs.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aiconexus.protocol import limits
from aiconexus.protocol.bodies import Count, Did, Id, Text
from aiconexus.protocol.errors import EnvelopeTooLarge, MalformedEnvelope

LABEL = "aiconexus"
CHANNEL_ID = 0
PROTOCOL = "aiconexus.v1"

FRAME_MAX_BYTES = limits.TEXT_MAX_BYTES
Ids = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=limits.RECEIPT_ITEMS_MAX)]
Label = Annotated[str, Meta(max_length=128)]
Pairs = Annotated[tuple[tuple[Did, Did], ...], Meta(max_length=16)]


class Word(msgspec.Struct, frozen=True, array_like=True, tag_field="word"):
    """One word of one side to the other."""


class Beat(Word, frozen=True, tag="ping"):
    """Are you still there? Sent every second."""

    number: Count


class Echo(Word, frozen=True, tag="pong"):
    """Yes; repeats the number. Only an echo proves that both directions work."""

    number: Count


class Taken(Word, frozen=True, tag="taken"):
    """These envelopes were verified and wait for their handlers; their sender still keeps them."""

    ids: Ids


class NotTaken(Word, frozen=True, tag="not_taken"):
    """An envelope was not taken, for a reason that has a name: send it through the mailbox."""

    id: Id
    problem: Annotated[str, Meta(max_length=64)]


class Await(Word, frozen=True, tag="await"):
    """Tell me once you have taken this envelope, which went through the mailbox: what follows must not overtake it."""

    id: Id


class Here(Word, frozen=True, tag="here"):
    """The envelope of AWAIT has come."""

    id: Id


class Agree(Word, frozen=True, tag="channel"):
    """
    A channel of this kind (RFC 8831, RFC 8832) is about to be opened, if the other side agrees.

    ``features`` are what both must understand, such as ``parts`` for messages of any size. ``token`` is new for each
    channel, so that no later one is taken for it. ``negotiated`` says that both sides create it by themselves
    (RFC 8831, section 6.4); otherwise it is announced in-band, as well (RFC 8832).
    """

    label: Label
    id: Count
    ordered: bool = True
    max_packet_life_time_ms: Count | None = None
    max_retransmits: Count | None = None
    protocol: Text = ""
    features: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    token: Annotated[str, Meta(max_length=limits.ID_MAX_CHARACTERS)] = ""
    negotiated: bool = False


class Agreed(Word, frozen=True, tag="channel_ok"):
    """Yes, open it."""

    id: Count


class Disagreed(Word, frozen=True, tag="channel_no"):
    """No, for a reason that has a name in ``problems``."""

    id: Count
    problem: Annotated[str, Meta(max_length=64)]
    message: Text = ""


class Resume(Word, frozen=True, tag="channel_resume"):
    """
    The channel goes on in this connection: send from here.

    ``received`` counts the units that came in turn, ``consumed`` the bytes that were made room for.
    """

    id: Count
    token: Annotated[str, Meta(max_length=limits.ID_MAX_CHARACTERS)]
    received: Count = 0
    consumed: Count = 0


class Leaving(Word, frozen=True, tag="bye"):
    """The connection ends now, on purpose: another took its place, or the agent closes."""

    reason: Text = ""


class Meet(Word, frozen=True, tag="mesh"):
    """I take part in the mesh of this name, and hand on what is for others; an ``answer`` needs none."""

    mesh: Text
    answer: bool = False


class Hop(Word, frozen=True, tag="hop"):
    """
    A frame for an agent with whom its sender has no channel, on its way over others; see ``hops``.

    ``frame`` is what would pass through a channel between the two, number ``number`` of their ``session``. The
    signature is the sender's and covers all but the last two: the hops that are left, and who had it already.
    """

    sender: Did
    recipient: Did
    session: Id
    number: Count
    frame: Annotated[bytes, Meta(min_length=1, max_length=limits.ENVELOPE_MAX_BYTES)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    hops_left: Annotated[int, Meta(ge=0, le=limits.HOPS_MAX)]
    visited: Annotated[tuple[Did, ...], Meta(max_length=limits.HOPS_MAX)] = ()


class Costs(Word, frozen=True, tag="mesh_costs"):
    """What the edges of whoever says it cost: for each neighbour microseconds, as loss and load make them."""

    costs: Annotated[tuple[tuple[Did, Count], ...], Meta(max_length=limits.EDGES_TOLD_MAX)]


class Exchanges(Word, frozen=True, tag="mesh_exchanges"):
    """All exchanges of edges in a mesh so far, oldest first: the edges closed, and those opened for them."""

    number: Count
    exchanges: Annotated[tuple[tuple[Pairs, Pairs], ...], Meta(max_length=limits.EDGES_TOLD_MAX)]


class Admit(Word, frozen=True, tag="mesh_admit"):
    """An agent is a member of the mesh from now on; in a sharded one, of this shard."""

    did: Did
    shard: Text | None = None


Words = (
    Beat
    | Echo
    | Taken
    | NotTaken
    | Await
    | Here
    | Agree
    | Agreed
    | Disagreed
    | Resume
    | Leaving
    | Meet
    | Hop
    | Costs
    | Exchanges
    | Admit
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Words).decode


def write_word(word: Word) -> str:
    """The text message of a word."""
    return _encode(word).decode()


def read_word(text: str) -> Any:
    """
    Read a text message that is no envelope.

    Raises:
        EnvelopeTooLarge: If it is longer than anything that we would say.
        MalformedEnvelope: If it is no word.

    """
    if len(text) > FRAME_MAX_BYTES:
        raise EnvelopeTooLarge(len(text), FRAME_MAX_BYTES)
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise MalformedEnvelope(f"no word: {error}") from error
