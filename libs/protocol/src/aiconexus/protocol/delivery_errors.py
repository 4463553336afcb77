"""
Why an envelope could not be stored, handed over or handled: the branch ``DeliveryError`` of the tree in ``errors``.

DeliveryError
├── MailboxFull · RateLimited · NotAcknowledged
├── HandlerFailed · HandlerInterrupted · NoHandler
├── CallCancelled · StreamGap · NoHolder
└── UnknownJob · JobEnded · TooManyJobs
"""

from aiconexus.protocol.errors import AiconexusError, _shown


class DeliveryError(AiconexusError):
    """An envelope that could not be stored, handed over or handled."""


class MailboxFull(DeliveryError):
    """The recipient's mailbox holds all it may hold."""

    def __init__(self, did: str, limit: int, retry_after_ms: int) -> None:
        super().__init__(did, limit, retry_after_ms)
        self.did = did
        self.limit = limit
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return f"the mailbox of {_shown(self.did)} holds {self.limit} envelopes; try again in {self.retry_after_ms} ms"


class RateLimited(DeliveryError):
    """The sender's budget is used up for now."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(retry_after_ms)
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return f"too fast; try again in {self.retry_after_ms} ms"


class NotAcknowledged(DeliveryError):
    """No answer came in time; the envelope may or may not have arrived."""

    def __init__(self, id_: str, wait_seconds: float) -> None:
        super().__init__(id_, wait_seconds)
        self.id = id_
        self.wait_seconds = wait_seconds

    def __str__(self) -> str:
        return f"no answer to {self.id} within {self.wait_seconds} s"


class HandlerFailed(DeliveryError):
    """The recipient's handler raised."""

    def __init__(self, id_: str) -> None:
        super().__init__(id_)
        self.id = id_

    def __str__(self) -> str:
        return f"the handler of {self.id} failed"


class HandlerInterrupted(DeliveryError):
    """The recipient died while its handler ran; nobody knows how far it came."""

    def __init__(self, id_: str) -> None:
        super().__init__(id_)
        self.id = id_

    def __str__(self) -> str:
        return f"the handler of {self.id} was interrupted"


class NoHandler(DeliveryError):
    """The recipient has no handler for this type."""

    def __init__(self, type_: str) -> None:
        super().__init__(type_)
        self.type = type_

    def __str__(self) -> str:
        return f"no handler for {_shown(self.type)}"


class CallCancelled(DeliveryError):
    """The caller does not want the answer any more."""

    def __init__(self, id_: str) -> None:
        super().__init__(id_)
        self.id = id_

    def __str__(self) -> str:
        return f"the call {self.id} was cancelled by its caller"


class StreamGap(DeliveryError):
    """Chunks of a streamed answer are lost: those from ``first`` up to, without it, ``end``."""

    def __init__(self, id_: str, first: int, end: int | None) -> None:
        super().__init__(id_, first, end)
        self.id = id_
        self.first = first
        self.end = end

    def __str__(self) -> str:
        upto = "on" if self.end is None else f"up to {self.end - 1}"
        return f"the answer to {self.id} lacks the chunks from {self.first} {upto}"


class NoHolder(DeliveryError):
    """Nobody who is here has the capability, or all of them refuse."""

    def __init__(self, capability: str) -> None:
        super().__init__(capability)
        self.capability = capability

    def __str__(self) -> str:
        return f"nobody who is here takes calls of {_shown(self.capability)}"


class UnknownJob(DeliveryError):
    """The retry service has no such job, or none that the asker may see."""

    def __init__(self, job: str) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"no job {_shown(self.job)}"


class JobEnded(DeliveryError):
    """The job is not in a state in which this could be done."""

    def __init__(self, job: str, state: str) -> None:
        super().__init__(job, state)
        self.job = job
        self.state = state

    def __str__(self) -> str:
        return f"job {_shown(self.job)} is {self.state}"


class TooManyJobs(DeliveryError):
    """The sender has all the jobs it may have at a time."""

    def __init__(self, limit: int, retry_after_ms: int) -> None:
        super().__init__(limit, retry_after_ms)
        self.limit = limit
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return f"{self.limit} jobs are open; try again in {self.retry_after_ms} ms"
