"""How a connection ends because of a problem."""

from aiconexus.protocol.bodies import Error
from aiconexus.protocol.closing import Close
from aiconexus.protocol.problems import INVALID_SIGNATURE, MALFORMED_MESSAGE, UNSUPPORTED_VERSION

BY_PROBLEM = {"key_revoked": Close.REFUSED, "taken_over": Close.TAKEN_OVER}
BY_CODE = {
    INVALID_SIGNATURE: Close.INVALID_SIGNATURE,
    MALFORMED_MESSAGE: Close.MALFORMED,
    UNSUPPORTED_VERSION: Close.UNSUPPORTED,
}


def close_of(error: Error) -> Close:
    """The close code for what somebody was not let in for, or was shown out for."""
    if error.retryable:
        return Close.TRY_LATER
    return BY_PROBLEM.get(error.problem) or BY_CODE.get(error.code, Close.REFUSED)
