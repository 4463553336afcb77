"""
What an envelope can say: one struct for each type, chosen by the envelope's ``type`` alone.

Those of calls, of edges, of retries and of signaling have modules of their own; ``vocabulary`` lists them all. Readers
ignore fields that they do not know and new fields have defaults, so that releases can be mixed. In the JSON codec,
bytes are base64 (RFC 4648 section 4, with padding).
"""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from aiconexus.protocol import limits

# An id goes into a NATS header, names and reasons into logs and onto terminals, so none may hold a control character;
# "$" alone would let a line end pass at the end.
LINE = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"

Did = Annotated[str, Meta(max_length=limits.DID_MAX_CHARACTERS)]
Id = Annotated[str, Meta(max_length=limits.ID_MAX_CHARACTERS, pattern=r"^[A-Za-z0-9._:-]+$(?!\n)")]
Capability = Annotated[
    str, Meta(max_length=limits.CAPABILITY_MAX_CHARACTERS, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$(?!\n)")
]
Capabilities = Annotated[tuple[Capability, ...], Meta(max_length=limits.CAPABILITIES_MAX)]
Text = Annotated[str, Meta(max_length=256, pattern=LINE)]
CodecNumber = Annotated[int, Meta(ge=0, le=255)]
LongText = Annotated[str, Meta(max_length=1024)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Page = Annotated[int, Meta(ge=1, le=limits.PAGE_MAX)]


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that can stand in an envelope; ``TYPE`` is its name on the wire."""

    TYPE: ClassVar[str]


class ReceiptStatus(StrEnum):
    """How far an envelope has come; each of the last three is an end."""

    STORED = "stored"
    DELIVERED = "delivered"
    PROCESSED = "processed"
    EXPIRED = "expired"
    DEAD_LETTERED = "dead_lettered"


class Outcome(StrEnum):
    """How an execution ended."""

    SUCCESS = "success"
    ERROR = "error"


class Road(StrEnum):
    """How an agent is connected."""

    NATS = "nats"
    EDGE = "edge"


class Policy(StrEnum):
    """Who may put envelopes into an agent's mailbox."""

    ANYONE = "anyone"
    LISTED = "listed"


# Types of ioap.v1; those that introduce two agents to each other are in ``signal_bodies``


class Register(Body, frozen=True):
    """
    An agent comes online, and says what it can do.

    ``public_key`` is the base58btc text of the 32 key bytes and must be the key of the sender's DID. ``challenge`` is
    the nonce of the edge's CHALLENGE; on NATS, where the server checked the key, it is absent. ``codecs`` are those
    that the agent can read, the preferred first. ``callers`` counts only under the policy ``listed``.
    """

    TYPE: ClassVar[str] = "REGISTER"
    public_key: Annotated[str, Meta(max_length=64)]
    challenge: Annotated[str, Meta(max_length=64)] | None = None
    name: Text | None = None
    capabilities: Capabilities = ()
    codecs: Annotated[tuple[CodecNumber, ...], Meta(min_length=1, max_length=8)] = (1, 2)
    policy: Policy = Policy.ANYONE
    callers: Annotated[tuple[Did, ...], Meta(max_length=limits.CALLERS_MAX)] = ()


class Unregister(Body, frozen=True):
    """An agent goes offline on purpose."""

    TYPE: ClassVar[str] = "UNREGISTER"
    reason: Text | None = None


class Intent(Body, frozen=True):
    """
    A wish, in natural language (``query``, ``context``) or structured (``task``, ``params``).

    A reply carries ``status`` and, where they apply, ``required_input`` and ``cost``.
    """

    TYPE: ClassVar[str] = "INTENT"
    query: str | None = None
    context: dict[str, Any] | None = None
    task: Text | None = None
    params: dict[str, Any] | None = None
    status: Text | None = None
    required_input: tuple[Text, ...] | None = None
    cost: float | None = None
    result: Any = None


class ExecRequest(Body, frozen=True):
    """
    A call of one capability with arguments.

    It is not begun later than ``begin_ms`` after its creation. The callee gives up when it has not said anything for
    ``timeout_ms``, and ``ceiling_ms`` after it began in any case. With ``stream``, CHUNKs are welcome.
    """

    TYPE: ClassVar[str] = "EXEC_REQUEST"
    capability: Capability | None = None
    args: dict[str, Any] = {}
    timeout_ms: Count | None = None
    ceiling_ms: Count | None = None
    begin_ms: Count | None = None
    stream: bool = False


class ExecResponse(Body, frozen=True):
    """
    The one answer to a call.

    After an error, ``problem`` is its name in ``problems`` if it is not ``handler_failed``. After a streamed answer,
    ``chunks`` is how many CHUNKs it had.
    """

    TYPE: ClassVar[str] = "EXEC_RESPONSE"
    status: Outcome
    result: Any = None
    error: LongText | None = None
    problem: Annotated[str, Meta(max_length=64)] | None = None
    chunks: Count | None = None
    execution_time_ms: float | None = None
    stream_url: Text | None = None


class Error(Body, frozen=True):
    """
    A problem report: ``code`` is one of the seven of ioap.v1, ``problem`` the exact one of ``problems``.

    ``retryable`` says whether the same request may succeed later, ``retry_after_ms`` when at the earliest.
    """

    TYPE: ClassVar[str] = "ERROR"
    code: Annotated[str, Meta(max_length=64)]
    message: LongText
    problem: Annotated[str, Meta(max_length=64)] = "internal"
    retryable: bool = False
    retry_after_ms: Count | None = None
    details: dict[str, Any] = {}


class Ping(Body, frozen=True):
    """Are you there? The answer echoes ``sequence``."""

    TYPE: ClassVar[str] = "PING"
    sequence: Count


class Pong(Body, frozen=True):
    """Yes."""

    TYPE: ClassVar[str] = "PONG"
    sequence: Count


# What the system adds


class Message(Body, frozen=True):
    """Anything one agent tells another."""

    TYPE: ClassVar[str] = "MESSAGE"
    content: Any


class ReceiptItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far one envelope has come. ``sequence`` is its place in the mailbox, ``problem`` why it died."""

    id: Id
    status: ReceiptStatus
    sequence: Count | None = None
    duplicate: bool = False
    problem: Text | None = None


class Receipt(Body, frozen=True):
    """How far one or more envelopes of the recipient have come, signed by who says so."""

    TYPE: ClassVar[str] = "RECEIPT"
    items: Annotated[tuple[ReceiptItem, ...], Meta(min_length=1, max_length=limits.RECEIPT_ITEMS_MAX)]


class PlatformInfo(Body, frozen=True):
    """
    Who the services are, signed by identity, which is the platform's own DID; addressed to nobody (``to`` is null).

    ``services`` maps a service's name to its DID.
    """

    TYPE: ClassVar[str] = "PLATFORM"
    services: dict[str, Did]


class Challenge(Body, frozen=True):
    """
    The edge's first word: sign ``nonce`` (in REGISTER) to prove your key. Addressed to nobody (``to`` is null).

    ``platform`` is a sealed PLATFORM envelope, which names this edge.
    """

    TYPE: ClassVar[str] = "CHALLENGE"
    nonce: Annotated[str, Meta(max_length=64)]
    platform: bytes


class Registered(Body, frozen=True):
    """The answer to REGISTER: the agent is present under ``session`` until it leaves or falls silent."""

    TYPE: ClassVar[str] = "REGISTERED"
    session: Annotated[str, Meta(max_length=128)]
    expires_ms: Count
    heartbeat_seconds: float
    limits: dict[str, int]


class Unregistered(Body, frozen=True):
    """The answer to UNREGISTER."""

    TYPE: ClassVar[str] = "UNREGISTERED"
    reason: Text | None = None


class Fetch(Body, frozen=True):
    """Hand over what waits in my mailbox behind the sequence ``after``."""

    TYPE: ClassVar[str] = "FETCH"
    after: Count = 0
    limit: Page = limits.PAGE_MAX


class MailItem(msgspec.Struct, frozen=True, kw_only=True):
    """
    One stored envelope as it lies in the mailbox.

    ``sequence`` grows along one mailbox but is not dense. ``previous``, on the live copy, is the sequence before it
    in the same mailbox: a reader whose cursor is below it has missed something and fetches.
    """

    sequence: Count
    previous: Count | None = None
    codec: CodecNumber
    payload: bytes
    signature: bytes


class Mail(Body, frozen=True):
    """The answer to FETCH: a page of the mailbox in order, and how many more wait."""

    TYPE: ClassVar[str] = "MAIL"
    items: tuple[MailItem, ...] = ()
    pending: Count = 0


class Ack(Body, frozen=True):
    """I have done with everything up to the sequence ``upto``: forget it."""

    TYPE: ClassVar[str] = "ACK"
    upto: Count


class Acked(Body, frozen=True):
    """The answer to ACK."""

    TYPE: ClassVar[str] = "ACKED"
    upto: Count


class Discover(Body, frozen=True):
    """List agents: all filters must fit; ``cursor`` continues a page."""

    TYPE: ClassVar[str] = "DISCOVER"
    capability: Capability | None = None
    name: Text | None = None
    online: bool | None = None
    cursor: Annotated[str, Meta(max_length=64)] | None = None
    limit: Page = limits.PAGE_MAX


class Resolve(Body, frozen=True):
    """Tell all about these agents; unknown ones are left out of the answer."""

    TYPE: ClassVar[str] = "RESOLVE"
    dids: Annotated[tuple[Did, ...], Meta(min_length=1, max_length=limits.PAGE_MAX)]


class AgentCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the registry knows of one agent."""

    did: Did
    name: str | None = None
    capabilities: tuple[str, ...] = ()
    codecs: tuple[int, ...] = (1, 2)
    online: bool = False
    road: Road | None = None
    since_ms: Count | None = None
    registered_ms: Count = 0
    revoked: bool = False


class Agents(Body, frozen=True):
    """The answer to DISCOVER and RESOLVE; ``cursor`` is there if more follow."""

    TYPE: ClassVar[str] = "AGENTS"
    agents: tuple[AgentCard, ...] = ()
    cursor: str | None = None


class Watch(Body, frozen=True):
    """On the edge: tell me who comes and goes; no ``dids`` means everybody."""

    TYPE: ClassVar[str] = "WATCH"
    dids: Annotated[tuple[Did, ...], Meta(max_length=limits.WATCH_MAX)] = ()


class Watching(Body, frozen=True):
    """The answer to WATCH."""

    TYPE: ClassVar[str] = "WATCHING"
    dids: tuple[Did, ...] = ()


class Presence(Body, frozen=True):
    """An agent came or went; signed by identity, addressed to nobody (``to`` is null)."""

    TYPE: ClassVar[str] = "PRESENCE"
    did: Did
    online: bool
    at_ms: Count
    road: Road | None = None
    session: str | None = None


class Takeover(Body, frozen=True):
    """From identity: ``session`` is your one live session now, every other one must close."""

    TYPE: ClassVar[str] = "TAKEOVER"
    session: Annotated[str, Meta(max_length=128)]


class Revoke(Body, frozen=True):
    """The sender declares its own key void, for ever."""

    TYPE: ClassVar[str] = "REVOKE"
    reason: Text | None = None


class Revoked(Body, frozen=True):
    """The key of ``did`` is void: the answer to REVOKE, and what the services are told."""

    TYPE: ClassVar[str] = "REVOKED"
    did: Did
    at_ms: Count
