from aiconexus.protocol.bodies import Error
from aiconexus.protocol.delivery_errors import MailboxFull
from aiconexus.protocol.errors import InvalidSignature, RemoteProblem
from aiconexus.runtime.refusals import Refusals
from aiconexus.runtime.testing import Lines, counted

REFUSED = "aiconexus_security_refusals_total"


def test_a_security_matter_is_counted_and_logged() -> None:
    """With its problem and the authenticated sender."""
    lines, before = Lines(), counted(REFUSED, problem="invalid_signature")

    Refusals("relay", lines.log).note(InvalidSignature("did:key:forged"), "did:key:real")

    (line,) = lines.of("relay.request_refused")
    assert counted(REFUSED, problem="invalid_signature") == before + 1
    assert (line["problem"], line["sender"], line["suppressed"]) == ("invalid_signature", "did:key:real", 0)


def test_other_problems_are_no_security_matter() -> None:
    """A full mailbox is everyday life, and what another service reports was counted there."""
    lines = Lines()
    refusals = Refusals("relay", lines.log)

    refusals.note(MailboxFull("did:key:x", 1000, 5))
    refusals.note(RemoteProblem("did:key:x", Error(code="INVALID_SIGNATURE", message="", problem="invalid_signature")))

    assert lines.of("relay.request_refused") == []


def test_a_flood_fills_the_counter_and_not_the_log() -> None:
    """A hostile sender cannot fill the disk: of a hundred refusals a few are logged."""
    lines, before = Lines(), counted(REFUSED, problem="invalid_signature")
    refusals = Refusals("relay", lines.log)
    error = InvalidSignature("did:key:forged")

    for _ in range(100):
        refusals.note(error)

    assert counted(REFUSED, problem="invalid_signature") == before + 100
    assert 5 <= len(lines.of("relay.request_refused")) <= 10
