"""The table between errors and the wire."""

import pytest

from aiconexus.protocol import delivery_errors, errors, problems
from aiconexus.protocol.bodies import Error
from aiconexus.protocol.errors import AiconexusError
from aiconexus.protocol.problems import PROBLEMS, problem_of, report

from .samples import BOB
from .test_errors import LEAVES

# Requirements of ioap.v1.
CODES = {
    "INVALID_SIGNATURE",
    "UNKNOWN_AGENT",
    "CONNECTION_REFUSED",
    "TIMEOUT",
    "MALFORMED_MESSAGE",
    "UNSUPPORTED_VERSION",
    "INTERNAL_ERROR",
}
LOCAL = {errors.InvalidKeyFile, errors.SettingsError, errors.RemoteProblem}


class Slower(errors.RequestTimedOut):
    """A class without a row."""


def test_codes_are_the_seven() -> None:
    """Every code of ioap.v1 is used, and no other."""
    assert {problem.code for problem in PROBLEMS.values()} == CODES


def test_every_error_that_can_travel_has_a_row() -> None:
    """Only what never reaches the wire has none, of its own or of its base."""
    assert {class_ for class_ in LEAVES if not set(class_.__mro__) & set(PROBLEMS)} == LOCAL


def test_one_name_has_one_meaning() -> None:
    """Errors of the same name have the same code and the same hope."""
    rows = set(PROBLEMS.values())

    assert len(rows) == len({row.name for row in rows})


def test_subclass_has_the_row_of_its_base() -> None:
    """A finer class needs no row of its own."""
    assert "timeout" == problem_of(Slower("s", 1.0)).name


@pytest.mark.parametrize("error", [KeyError("secret"), errors.SettingsError(["secret"])], ids=["foreign", "ours"])
def test_error_without_a_row_is_internal(error: BaseException) -> None:
    """What is not in the table is our fault, and may go away."""
    assert problems.INTERNAL == problem_of(error)


def test_report_holds_the_facts() -> None:
    """An agent learns the code, the name, the sentence and when to come back."""
    expected = Error(
        code="CONNECTION_REFUSED",
        problem="mailbox_full",
        message=f"the mailbox of '{BOB.did}' holds 9 envelopes; try again in 250 ms",
        retryable=True,
        retry_after_ms=250,
    )

    assert expected == report(delivery_errors.MailboxFull(BOB.did, 9, 250))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.SettingsError(["secret"]), "internal error"),
        (errors.BusUnavailable(["nats://secret:4222"], "secret"), "unavailable, try again"),
        (errors.RequestTimedOut("secret.subject", 1.0), "timeout, try again"),
        (errors.StreamRefused("secret.subject", 1, "secret"), "unavailable, try again"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AiconexusError) else "",
)
def test_report_keeps_our_insides_to_ourselves(error: AiconexusError, message: str) -> None:
    """Addresses, subjects and settings are nobody's business."""
    assert message == report(error).message


def test_report_passes_on_what_a_remote_reported() -> None:
    """A problem keeps its name on its way through a service."""
    remote = Error(code="TIMEOUT", message="late", problem="timeout")

    assert remote == report(errors.RemoteProblem(BOB.did, remote))


def test_report_is_bounded() -> None:
    """The message of a report fits its field."""
    assert 1024 == len(report(errors.Refused("x" * 5000)).message)
