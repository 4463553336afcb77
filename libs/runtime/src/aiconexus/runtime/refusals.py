"""Count what was refused for the sake of security, and log a bounded part of it."""

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.errors import AiconexusError, RemoteProblem
from aiconexus.protocol.problems import problem_of
from aiconexus.runtime.logs import Log, Throttle
from aiconexus.runtime.metrics import SECURITY_REFUSALS

SECURITY_PROBLEMS = frozenset(
    {
        "foreign_sender",
        "invalid_did",
        "invalid_signature",
        "key_revoked",
        "malformed",
        "replayed",
        "stale",
        "too_large",
        "unsupported_version",
    }
)
"""Names of problems that hostile or broken senders cause."""

DETAIL_CHARACTERS = 200


class Refusals:
    """
    The refusals of one process.

    Args:
        service: The first word of the event.
        log: Of the process.

    """

    def __init__(self, service: str, log: Log) -> None:
        self._event = f"{service}.request_refused"
        self._log = log
        self._throttle = Throttle()

    def note(self, error: AiconexusError, sender: str | None = None) -> None:
        """
        Take notice of an error; one that is no security matter is passed over.

        Args:
            error: What the request was refused with.
            sender: The authenticated one, if there is any.

        """
        problem = problem_of(error).name
        if problem not in SECURITY_PROBLEMS or isinstance(error, RemoteProblem):
            return
        SECURITY_REFUSALS.labels(problem).inc()
        suppressed = self._throttle.admit(now_ms())
        if suppressed is not None:
            detail = str(error)[:DETAIL_CHARACTERS]
            self._log.warning(self._event, problem=problem, sender=sender, detail=detail, suppressed=suppressed)
