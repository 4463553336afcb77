"""The tree of errors."""

import inspect

import pytest

from aiconexus.protocol import bodies, delivery_errors, errors
from aiconexus.protocol.errors import AiconexusError

from .samples import ALICE, BOB

CASES: dict[AiconexusError, str] = {
    errors.MalformedEnvelope("no signature"): "malformed envelope: no signature",
    errors.UnsupportedVersion(2): "unsupported envelope version '2'",
    errors.UnsupportedType("FETCH"): "unsupported envelope type 'FETCH' here",
    errors.EnvelopeTooLarge(70_000, 65_536): "envelope of 70000 bytes, the limit is 65536",
    errors.EnvelopeExpired("a", 5): "envelope a expired at 5 ms",
    errors.EnvelopeStale("a", 1000, 61_001): "envelope a was created 60001 ms away from our clock",
    errors.ReplayedEnvelope("a"): "envelope a was seen before",
    errors.ConflictingEnvelope("a"): "another envelope carries the id a already",
    errors.InvalidDid("x", "1 characters"): "'x' is not an Ed25519 did:key: 1 characters",
    errors.InvalidSignature("x"): "invalid signature under the name of 'x'",
    errors.ForeignSender("x", "y"): "sender 'x' is not the authenticated 'y'",
    errors.UnknownAgent("x"): "no agent 'x' is registered",
    errors.AgentOffline("x"): "agent 'x' is offline",
    errors.KeyRevoked("x"): "the key of 'x' is revoked",
    errors.InvalidKeyFile("a.key", "others may read it"): "key file a.key: others may read it",
    errors.Refused("you are not listed"): "refused: you are not listed",
    errors.TooManyConnections(1000): "all 1000 connections are taken",
    errors.TakenOver("s"): "session 's' took over",
    delivery_errors.MailboxFull("x", 1000, 250): "the mailbox of 'x' holds 1000 envelopes; try again in 250 ms",
    delivery_errors.RateLimited(250): "too fast; try again in 250 ms",
    delivery_errors.NotAcknowledged("a", 2.5): "no answer to a within 2.5 s",
    delivery_errors.HandlerFailed("a"): "the handler of a failed",
    delivery_errors.HandlerInterrupted("a"): "the handler of a was interrupted",
    delivery_errors.NoHandler("INTENT"): "no handler for 'INTENT'",
    delivery_errors.CallCancelled("a"): "the call a was cancelled by its caller",
    delivery_errors.StreamGap("a", 3, 5): "the answer to a lacks the chunks from 3 up to 4",
    delivery_errors.NoHolder("c"): "nobody who is here takes calls of 'c'",
    delivery_errors.UnknownJob("j"): "no job 'j'",
    delivery_errors.JobEnded("j", "done"): "job 'j' is done",
    delivery_errors.TooManyJobs(1000, 250): "1000 jobs are open; try again in 250 ms",
    errors.BusUnavailable(["nats://a", "nats://b"], "refused"): "no bus at nats://a, nats://b: refused",
    errors.LoginRefused(["nats://a"], "no"): "no login at nats://a: no",
    errors.NoResponders("s"): "nobody serves s",
    errors.RequestTimedOut("s", 2.5): "no answer from s within 2.5 s",
    errors.StreamRefused("s", 10077, "full"): "JetStream refused s: full (10077)",
    errors.WrongRevision("B", "k"): "B/k was written by somebody else in between",
    errors.SettingsError(["a", "b"]): "settings are not usable:\n  a\n  b",
    errors.InvalidPolicy(["a", "b"]): "no usable retry policy: a; b",
    errors.RemoteProblem(BOB.did, bodies.Error(code="TIMEOUT", message="late", problem="timeout")): "timeout: late",
}
MODULES = (errors, delivery_errors)
BRANCHES = {
    errors.EnvelopeError,
    errors.IdentityError,
    errors.SessionError,
    delivery_errors.DeliveryError,
    errors.BusError,
}
LEAVES = {
    class_
    for module in MODULES
    for _, class_ in inspect.getmembers(module, inspect.isclass)
    if class_ not in {Exception, AiconexusError} | BRANCHES
}


@pytest.mark.parametrize(("error", "sentence"), CASES.items(), ids=[type(error).__name__ for error in CASES])
def test_error_says_what_happened(error: AiconexusError, sentence: str) -> None:
    """Each error builds its sentence from its facts."""
    assert sentence == str(error)


def test_every_error_is_in_the_tree() -> None:
    """Whatever the modules define can be caught as AiconexusError and has its sentence above."""
    assert {type(error) for error in CASES} == LEAVES
    assert all(issubclass(class_, AiconexusError) for class_ in LEAVES)


def test_tree_in_the_docstring_is_the_tree() -> None:
    """The list at the top of each file names every class in it."""
    names = {module.__name__: set((module.__doc__ or "").replace("·", " ").split()) for module in MODULES}

    assert [class_ for class_ in LEAVES if class_.__name__ not in names[class_.__module__]] == []


@pytest.mark.parametrize("class_", [errors.InvalidDid, errors.InvalidKeyFile, errors.SettingsError])
def test_callers_mistake_is_a_value_error(class_: type[AiconexusError]) -> None:
    """What our own caller did wrong can be caught as the built-in error."""
    assert issubclass(class_, ValueError)


def test_remote_text_is_bounded_and_on_one_line() -> None:
    """Nobody fills our logs or draws on our terminals."""
    hostile = "\x1b[2J\n" + "x" * 100_000

    sentences = [str(errors.MalformedEnvelope(hostile)), str(errors.InvalidSignature(hostile))]

    assert all(len(sentence) < 300 and sentence.isprintable() for sentence in sentences)


def test_remote_problem_passes_on_whether_to_retry() -> None:
    """Who reports a problem says whether it may go away."""
    error = bodies.Error(code="TIMEOUT", message="late", retryable=True)

    assert errors.RemoteProblem(ALICE.did, error).retryable
