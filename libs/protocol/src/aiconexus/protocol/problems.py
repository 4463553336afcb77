"""
What an error is called on the wire, and whether the same request may succeed later: the only such table.

``code`` is one of the seven of ioap.v1; ``name`` is the exact problem.
"""

import msgspec

from aiconexus.protocol import delivery_errors, direct_errors, errors
from aiconexus.protocol.bodies import Error
from aiconexus.protocol.errors import AiconexusError

INVALID_SIGNATURE = "INVALID_SIGNATURE"
UNKNOWN_AGENT = "UNKNOWN_AGENT"
CONNECTION_REFUSED = "CONNECTION_REFUSED"
TIMEOUT = "TIMEOUT"
MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
UNSUPPORTED_VERSION = "UNSUPPORTED_VERSION"
INTERNAL_ERROR = "INTERNAL_ERROR"


class Problem(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    code: str
    retryable: bool = False


PROBLEMS: dict[type[BaseException], Problem] = {
    errors.MalformedEnvelope: Problem("malformed", MALFORMED_MESSAGE),
    errors.UnsupportedVersion: Problem("unsupported_version", UNSUPPORTED_VERSION),
    errors.UnsupportedType: Problem("unsupported_type", MALFORMED_MESSAGE),
    errors.EnvelopeTooLarge: Problem("too_large", MALFORMED_MESSAGE),
    errors.EnvelopeExpired: Problem("expired", TIMEOUT),
    errors.EnvelopeStale: Problem("stale", TIMEOUT),
    errors.ReplayedEnvelope: Problem("replayed", INVALID_SIGNATURE),
    errors.ConflictingEnvelope: Problem("conflict", MALFORMED_MESSAGE),
    errors.InvalidDid: Problem("invalid_did", MALFORMED_MESSAGE),
    errors.InvalidSignature: Problem("invalid_signature", INVALID_SIGNATURE),
    errors.ForeignSender: Problem("foreign_sender", INVALID_SIGNATURE),
    errors.UnknownAgent: Problem("unknown_agent", UNKNOWN_AGENT),
    errors.KeyRevoked: Problem("key_revoked", INVALID_SIGNATURE),
    errors.Refused: Problem("refused", CONNECTION_REFUSED),
    errors.TooManyConnections: Problem("too_many_connections", CONNECTION_REFUSED, retryable=True),
    errors.TakenOver: Problem("taken_over", CONNECTION_REFUSED),
    delivery_errors.MailboxFull: Problem("mailbox_full", CONNECTION_REFUSED, retryable=True),
    delivery_errors.RateLimited: Problem("rate_limited", CONNECTION_REFUSED, retryable=True),
    delivery_errors.NotAcknowledged: Problem("timeout", TIMEOUT, retryable=True),
    delivery_errors.HandlerFailed: Problem("handler_failed", INTERNAL_ERROR),
    delivery_errors.HandlerInterrupted: Problem("handler_interrupted", INTERNAL_ERROR),
    delivery_errors.NoHandler: Problem("no_handler", CONNECTION_REFUSED),
    delivery_errors.CallCancelled: Problem("cancelled", TIMEOUT),
    delivery_errors.StreamGap: Problem("stream_gap", INTERNAL_ERROR),
    delivery_errors.NoHolder: Problem("no_holder", UNKNOWN_AGENT, retryable=True),
    delivery_errors.UnknownJob: Problem("unknown_job", UNKNOWN_AGENT),
    delivery_errors.JobEnded: Problem("job_ended", CONNECTION_REFUSED),
    delivery_errors.TooManyJobs: Problem("too_many_jobs", CONNECTION_REFUSED, retryable=True),
    errors.InvalidPolicy: Problem("invalid_policy", MALFORMED_MESSAGE),
    direct_errors.UnexpectedSignal: Problem("unexpected_signal", CONNECTION_REFUSED),
    direct_errors.DescriptionRefused: Problem("description_refused", INVALID_SIGNATURE),
    direct_errors.HelloRefused: Problem("hello_refused", INVALID_SIGNATURE),
    direct_errors.ConnectionFailed: Problem("connection_failed", CONNECTION_REFUSED, retryable=True),
    direct_errors.ChannelExists: Problem("channel_exists", CONNECTION_REFUSED),
    direct_errors.ChannelClosed: Problem("channel_closed", CONNECTION_REFUSED, retryable=True),
    direct_errors.InvalidChannel: Problem("invalid_channel", MALFORMED_MESSAGE),
    direct_errors.MessageTooLarge: Problem("message_too_large", MALFORMED_MESSAGE),
    direct_errors.FrameRefused: Problem("frame_refused", MALFORMED_MESSAGE),
    direct_errors.TransferRefused: Problem("transfer_refused", CONNECTION_REFUSED),
    errors.BusUnavailable: Problem("unavailable", INTERNAL_ERROR, retryable=True),
    errors.NoResponders: Problem("unavailable", INTERNAL_ERROR, retryable=True),
    errors.RequestTimedOut: Problem("timeout", TIMEOUT, retryable=True),
    errors.StreamRefused: Problem("unavailable", INTERNAL_ERROR, retryable=True),
    errors.WrongRevision: Problem("unavailable", INTERNAL_ERROR, retryable=True),
}

INTERNAL = Problem("internal", INTERNAL_ERROR, retryable=True)
"""What a stranger learns of an error that has no row: nothing but that it is ours."""


def problem_of(error: BaseException) -> Problem:
    """The row of an error; its base classes count."""
    for class_ in type(error).__mro__:
        if class_ in PROBLEMS:
            return PROBLEMS[class_]
    return INTERNAL


def report(error: AiconexusError) -> Error:
    """The body of an ERROR envelope for an error of ours."""
    if isinstance(error, errors.RemoteProblem):
        return error.error
    problem = problem_of(error)
    return Error(
        code=problem.code,
        problem=problem.name,
        message=_told(error, problem)[:1024],
        retryable=problem.retryable,
        retry_after_ms=getattr(error, "retry_after_ms", None),
    )


def _told(error: AiconexusError, problem: Problem) -> str:
    """What a stranger may read: nothing of our addresses and subjects."""
    if problem is INTERNAL:
        return "internal error"
    if isinstance(error, errors.BusError):
        return f"{problem.name}, try again"
    return str(error)
