"""
Every error of the project, in one tree.

AiconexusError
├── EnvelopeError   MalformedEnvelope · UnsupportedVersion · UnsupportedType · EnvelopeTooLarge · EnvelopeExpired
│                   · EnvelopeStale · ReplayedEnvelope · ConflictingEnvelope
├── IdentityError   InvalidDid · InvalidSignature · ForeignSender · UnknownAgent · AgentOffline · KeyRevoked
│                   · InvalidKeyFile
├── SessionError    Refused · TooManyConnections · TakenOver
├── DeliveryError   in ``delivery_errors``: why an envelope could not be stored, handed over or handled
├── BusError        BusUnavailable · LoginRefused · NoResponders · RequestTimedOut · StreamRefused · WrongRevision
├── SignalingError  in ``direct_errors``: what goes wrong on the way to a direct channel and in it
├── SettingsError
├── InvalidPolicy
└── RemoteProblem   an ERROR envelope that somebody else sent us

Facts are attributes, the sentence is built in ``__str__``; what an error is called on the wire, and whether it is
worth another try, stands in ``problems`` alone.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiconexus.protocol.bodies import Error

SHOWN_CHARACTERS = 80
REASON_CHARACTERS = 240


def _shown(text: str) -> str:
    """Bound what a remote can make us print."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def _line(text: str) -> str:
    """Likewise, for a sentence of ours that quotes a remote."""
    return "".join(character if character.isprintable() else "?" for character in text[:REASON_CHARACTERS])


class AiconexusError(Exception):
    """Anything this project raises on purpose."""


class EnvelopeError(AiconexusError):
    """The envelope itself is not acceptable."""


class MalformedEnvelope(EnvelopeError):
    """The bytes do not follow the schema."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"malformed envelope: {_line(self.reason)}"


class UnsupportedVersion(EnvelopeError):
    """The envelope speaks a version that we do not."""

    def __init__(self, version: object) -> None:
        super().__init__(version)
        self.version = version

    def __str__(self) -> str:
        return f"unsupported envelope version {_shown(str(self.version))}"


class UnsupportedType(EnvelopeError):
    """No such message type, or not one that may go this way."""

    def __init__(self, type_: str) -> None:
        super().__init__(type_)
        self.type = type_

    def __str__(self) -> str:
        return f"unsupported envelope type {_shown(self.type)} here"


class EnvelopeTooLarge(EnvelopeError):
    """More bytes than the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(size, limit)
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return f"envelope of {self.size} bytes, the limit is {self.limit}"


class EnvelopeExpired(EnvelopeError):
    """Its lifetime is over."""

    def __init__(self, id_: str, expires_ms: int) -> None:
        super().__init__(id_, expires_ms)
        self.id = id_
        self.expires_ms = expires_ms

    def __str__(self) -> str:
        return f"envelope {self.id} expired at {self.expires_ms} ms"


class EnvelopeStale(EnvelopeError):
    """Created too far from our clock."""

    def __init__(self, id_: str, created_ms: int, now_ms: int) -> None:
        super().__init__(id_, created_ms, now_ms)
        self.id = id_
        self.created_ms = created_ms
        self.now_ms = now_ms

    def __str__(self) -> str:
        return f"envelope {self.id} was created {self.now_ms - self.created_ms} ms away from our clock"


class ReplayedEnvelope(EnvelopeError):
    """The id was seen before from the same sender."""

    def __init__(self, id_: str) -> None:
        super().__init__(id_)
        self.id = id_

    def __str__(self) -> str:
        return f"envelope {self.id} was seen before"


class ConflictingEnvelope(EnvelopeError):
    """Another envelope carries this id already."""

    def __init__(self, id_: str) -> None:
        super().__init__(id_)
        self.id = id_

    def __str__(self) -> str:
        return f"another envelope carries the id {self.id} already"


class IdentityError(AiconexusError):
    """Somebody is not who they must be."""


class InvalidDid(IdentityError, ValueError):
    """Not a did:key of a usable Ed25519 key."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        return f"{_shown(self.text)} is not an Ed25519 did:key: {self.reason}"


class InvalidSignature(IdentityError):
    """The signature does not fit the bytes and the sender."""

    def __init__(self, sender: str) -> None:
        super().__init__(sender)
        self.sender = sender

    def __str__(self) -> str:
        return f"invalid signature under the name of {_shown(self.sender)}"


class ForeignSender(IdentityError):
    """The envelope names another sender than the one that is connected."""

    def __init__(self, sender: str, authenticated: str) -> None:
        super().__init__(sender, authenticated)
        self.sender = sender
        self.authenticated = authenticated

    def __str__(self) -> str:
        return f"sender {_shown(self.sender)} is not the authenticated {_shown(self.authenticated)}"


class UnknownAgent(IdentityError):
    """Nobody of this name is registered."""

    def __init__(self, did: str) -> None:
        super().__init__(did)
        self.did = did

    def __str__(self) -> str:
        return f"no agent {_shown(self.did)} is registered"


class AgentOffline(UnknownAgent):
    """Registered, but not connected, and what was said to it is worthless tomorrow."""

    def __str__(self) -> str:
        return f"agent {_shown(self.did)} is offline"


class KeyRevoked(IdentityError):
    """The key was revoked by its owner or by the operator."""

    def __init__(self, did: str) -> None:
        super().__init__(did)
        self.did = did

    def __str__(self) -> str:
        return f"the key of {_shown(self.did)} is revoked"


class InvalidKeyFile(IdentityError, ValueError):
    """A key file that must not be used, with the reason."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"key file {self.path}: {self.reason}"


class SessionError(AiconexusError):
    """A connection that may not be, or may not go on."""


class Refused(SessionError):
    """The recipient's policy, or ours, says no."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"refused: {self.reason}"


class TooManyConnections(SessionError):
    """The process has no room for another connection."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"all {self.limit} connections are taken"


class TakenOver(SessionError):
    """The same key registered elsewhere: that session is the live one now."""

    def __init__(self, session: str) -> None:
        super().__init__(session)
        self.session = session

    def __str__(self) -> str:
        return f"session {_shown(self.session)} took over"


class BusError(AiconexusError):
    """The bus did not do its part."""


class BusUnavailable(BusError):
    """No server of the list can be reached."""

    def __init__(self, urls: "Sequence[str]", reason: str) -> None:
        super().__init__(urls, reason)
        self.urls = tuple(urls)
        self.reason = reason

    def __str__(self) -> str:
        return f"no bus at {', '.join(self.urls)}: {self.reason}"


class LoginRefused(BusUnavailable):
    """
    A server is there and does not let us in.

    It does not say why: the key may be void, or whoever decides may be away.
    """

    def __str__(self) -> str:
        return f"no login at {', '.join(self.urls)}: {self.reason}"


class NoResponders(BusError):
    """Nobody serves the subject."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject)
        self.subject = subject

    def __str__(self) -> str:
        return f"nobody serves {self.subject}"


class RequestTimedOut(BusError):
    """No answer came in time."""

    def __init__(self, subject: str, wait_seconds: float) -> None:
        super().__init__(subject, wait_seconds)
        self.subject = subject
        self.wait_seconds = wait_seconds

    def __str__(self) -> str:
        return f"no answer from {self.subject} within {self.wait_seconds} s"


class StreamRefused(BusError):
    """The stream said no; ``code`` is the server's JetStream ``err_code``."""

    def __init__(self, subject: str, code: int, description: str) -> None:
        super().__init__(subject, code, description)
        self.subject = subject
        self.code = code
        self.description = description

    def __str__(self) -> str:
        return f"JetStream refused {self.subject}: {self.description} ({self.code})"


class WrongRevision(BusError):
    """Somebody else wrote the key in between."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(bucket, key)
        self.bucket = bucket
        self.key = key

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key} was written by somebody else in between"


class SettingsError(AiconexusError, ValueError):
    """Every mistake in the settings, together."""

    def __init__(self, mistakes: "Sequence[str]") -> None:
        super().__init__(mistakes)
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return "\n".join(("settings are not usable:", *(f"  {mistake}" for mistake in self.mistakes)))


class InvalidPolicy(AiconexusError, ValueError):
    """Every mistake in a retry policy, together."""

    def __init__(self, mistakes: "Sequence[str]") -> None:
        super().__init__(mistakes)
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        return f"no usable retry policy: {'; '.join(self.mistakes)}"


class RemoteProblem(AiconexusError):
    """A problem that a remote reported to us in a signed ERROR envelope."""

    def __init__(self, reporter: str, error: "Error") -> None:
        super().__init__(reporter, error)
        self.reporter = reporter
        self.error = error

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.error.retryable

    def __str__(self) -> str:
        return f"{self.error.problem}: {self.error.message}"
