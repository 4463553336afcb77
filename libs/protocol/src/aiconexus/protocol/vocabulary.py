"""Every type of envelope, and which way each may go."""

from aiconexus.protocol.bodies import (
    Ack,
    Acked,
    Agents,
    Body,
    Challenge,
    Discover,
    Error,
    ExecRequest,
    ExecResponse,
    Fetch,
    Intent,
    Mail,
    Message,
    Ping,
    PlatformInfo,
    Pong,
    Presence,
    Receipt,
    Register,
    Registered,
    Resolve,
    Revoke,
    Revoked,
    Takeover,
    Unregister,
    Unregistered,
    Watch,
    Watching,
)
from aiconexus.protocol.call_bodies import Cancel, Chunk, Progress, Resume
from aiconexus.protocol.edge_bodies import Attach, Attached, Detach, Detached
from aiconexus.protocol.job_bodies import (
    DeadLetters,
    Drop,
    Dropped,
    JobList,
    Jobs,
    JobShown,
    Look,
    Looked,
    Place,
    Placed,
    Requeue,
    Return,
    Schedule,
    Scheduled,
    ShowJob,
    Withdraw,
    Withdrawn,
)
from aiconexus.protocol.signal_bodies import (
    Answer,
    Bye,
    Hello,
    IceCandidate,
    IceServers,
    Incident,
    ListServers,
    Noted,
    Offer,
)

BODIES: dict[str, type[Body]] = {
    body.TYPE: body
    for body in (
        Register,
        Unregister,
        Offer,
        Answer,
        IceCandidate,
        Intent,
        ExecRequest,
        ExecResponse,
        Error,
        Ping,
        Pong,
        Message,
        Receipt,
        PlatformInfo,
        Challenge,
        Registered,
        Unregistered,
        Fetch,
        Mail,
        Ack,
        Acked,
        Discover,
        Resolve,
        Agents,
        Watch,
        Watching,
        Presence,
        Takeover,
        Revoke,
        Revoked,
        Attach,
        Attached,
        Detach,
        Detached,
        Progress,
        Chunk,
        Cancel,
        Resume,
        Schedule,
        Return,
        Scheduled,
        Withdraw,
        Withdrawn,
        Jobs,
        DeadLetters,
        JobList,
        ShowJob,
        JobShown,
        Requeue,
        Drop,
        Dropped,
        Place,
        Placed,
        Look,
        Looked,
        Bye,
        Hello,
        ListServers,
        IceServers,
        Incident,
        Noted,
    )
}
"""Every type that this version knows."""

STORED_TYPES = frozenset(
    {
        "MESSAGE",
        "INTENT",
        "EXEC_REQUEST",
        "EXEC_RESPONSE",
        "PROGRESS",
        "CHUNK",
        "CANCEL",
        "RESUME",
        "RECEIPT",
        "ERROR",
    }
)
"""What one agent may put into another's mailbox."""

LIVE_TYPES = frozenset({"OFFER", "ANSWER", "ICE_CANDIDATE", "BYE", "PING", "PONG"})
"""What is forwarded to a connected agent or refused: it is worthless tomorrow."""

UNADDRESSED_TYPES = frozenset({"PLATFORM", "CHALLENGE", "PRESENCE"})
"""What is said to whoever hears it: ``to`` is null."""

SECURITY_INCIDENTS = frozenset(
    {
        "offer_refused",
        "fingerprint_missing",
        "fingerprint_weak",
        "fingerprint_mismatch",
        "fingerprint_inconsistent",
        "offer_hash_mismatch",
        "hello_invalid",
        "hello_missing",
        "foreign_frame",
        "signature_invalid",
        "key_revoked",
    }
)
"""What INCIDENT tells of attempts to deceive an agent."""

INCIDENTS = SECURITY_INCIDENTS | {
    "turn_fallback",
    "relay_fallback",
    "direct_restored",
    "connection_failed",
    "glare",
    "key_rotated",
}
"""All that INCIDENT may tell."""
