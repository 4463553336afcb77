"""What ends a command without a result: a sentence for the person at the terminal, and the status for their script."""

from enum import IntEnum

from aiconexus.cli.shown import indented
from aiconexus.protocol import delivery_errors, direct_errors, errors
from aiconexus.protocol.errors import AiconexusError


class Exit(IntEnum):
    """Exit statuses of the command; 0 is success."""

    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    TIMED_OUT = 5


class Failure(AiconexusError):
    """The command cannot do what it was asked to."""

    def __init__(self, sentence: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status

    def __str__(self) -> str:
        return self.sentence


_STATUSES: tuple[tuple[type[BaseException], Exit], ...] = (
    (errors.SettingsError, Exit.USAGE),
    (errors.InvalidKeyFile, Exit.USAGE),
    (errors.InvalidDid, Exit.USAGE),
    (delivery_errors.NotAcknowledged, Exit.TIMED_OUT),
    (errors.RequestTimedOut, Exit.TIMED_OUT),
    (TimeoutError, Exit.TIMED_OUT),
    (errors.BusError, Exit.UNREACHABLE),
    (ConnectionError, Exit.UNREACHABLE),
    (errors.RemoteProblem, Exit.REFUSED),
    (errors.IdentityError, Exit.REFUSED),
    (errors.SessionError, Exit.REFUSED),
    (delivery_errors.DeliveryError, Exit.REFUSED),
    (direct_errors.TransferRefused, Exit.REFUSED),
)


def status_of(error: BaseException) -> Exit:
    """The exit status that tells a script what went wrong."""
    if isinstance(error, Failure):
        return error.status
    return next((status for class_, status in _STATUSES if isinstance(error, class_)), Exit.FAILED)


def sentence_of(error: BaseException) -> str:
    """What went wrong, for a person; what others said of it cannot pass for a line of ours."""
    if isinstance(error, Failure | errors.SettingsError):
        return str(error)
    if isinstance(error, AiconexusError):
        return indented(str(error))
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return str(error)
