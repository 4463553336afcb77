"""Close codes of problems."""

import pytest

from aiconexus.edge.refusals import close_of
from aiconexus.protocol import delivery_errors, errors
from aiconexus.protocol.closing import Close
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.problems import report


@pytest.mark.parametrize(
    ("error", "close"),
    [
        (errors.MalformedEnvelope("x"), Close.MALFORMED),
        (errors.EnvelopeTooLarge(2, 1), Close.MALFORMED),
        (errors.InvalidDid("x", "y"), Close.MALFORMED),
        (errors.UnsupportedVersion(2), Close.UNSUPPORTED),
        (errors.InvalidSignature("x"), Close.INVALID_SIGNATURE),
        (errors.ReplayedEnvelope("x"), Close.INVALID_SIGNATURE),
        (errors.ForeignSender("x", "y"), Close.INVALID_SIGNATURE),
        (errors.KeyRevoked("x"), Close.REFUSED),
        (errors.EnvelopeStale("x", 1, 2), Close.REFUSED),
        (errors.Refused("x"), Close.REFUSED),
        (errors.TakenOver("x"), Close.TAKEN_OVER),
        (errors.NoResponders("x"), Close.TRY_LATER),
        (errors.RequestTimedOut("x", 1), Close.TRY_LATER),
        (delivery_errors.RateLimited(5), Close.TRY_LATER),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AiconexusError) else value.name,
)
def test_code_says_whether_to_come_back(error: AiconexusError, close: Close) -> None:
    """Only what may succeed later gets a code below 4400."""
    assert close == close_of(report(error))
