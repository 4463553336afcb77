import pytest

from aiconexus.identity.violations import USER_MAX, Kind, Violation, read_violation

from .people import PEOPLE

DID = PEOPLE[0].did
HEAD = '[24924] 2026/11/21 03:07:38.015158 [ERR] 127.0.0.1:58760 - cid:17 - "v2.16.0:python3:agent" - '
AGENT = f'"AGENTS/user:{DID}" - '
FORGED = f'evil\\" - \\"AGENTS/user:{PEOPLE[1].did}\\" - Publish Violation - Subject \\"x'


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param('Publish Violation - Subject "foo.bar"', Kind.PUBLISH, id="publish"),
        pytest.param('Publish Violation - Reply "foo.bar"', Kind.PUBLISH, id="reply"),
        pytest.param('Subscription Violation - Subject "foo.*", SID 2', Kind.SUBSCRIPTION, id="subscribe"),
        pytest.param('Subscription Violation - Subject "q", Queue: "q", SID 3', Kind.SUBSCRIPTION, id="queue"),
        pytest.param('Subscription Violation Too Many Tokens - Subject "q"', Kind.SUBSCRIPTION, id="tokens"),
        pytest.param("maximum subscriptions exceeded", Kind.SUBSCRIPTIONS_MAX, id="subscriptions"),
        pytest.param("maximum payload exceeded: 200000 vs 131072", Kind.PAYLOAD_MAX, id="payload"),
    ],
)
def test_refusal_names_the_agent(words: str, kind: Kind) -> None:
    """Each refusal of the server is told apart, and who was refused is the login, not the client's name."""
    violation = read_violation((HEAD + AGENT + words).encode())

    assert Violation(kind, "AGENTS", DID) == violation
    assert violation.is_agent


def test_words_of_a_client_are_not_believed() -> None:
    """A client's name or subject that looks like a line of the log blames nobody else."""
    line = HEAD.replace("agent", FORGED) + AGENT + f'Publish Violation - Subject "{FORGED}"'

    assert Violation(Kind.PUBLISH, "AGENTS", DID) == read_violation(line.encode())


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param("SVC/nkey:UABC", Violation(Kind.PUBLISH, "SVC", "UABC"), id="service"),
        pytest.param("$G/user:x", Violation(Kind.PUBLISH, "other", "x"), id="unknown account"),
        pytest.param("AGENTS/user:" + "x" * 500, Violation(Kind.PUBLISH, "AGENTS", "x" * USER_MAX), id="long"),
    ],
)
def test_accounts_are_a_closed_set(user: str, expected: Violation) -> None:
    """Whoever it was, the account is one of ours or another, and the name is short."""
    found = read_violation(f'[ERR] [::1]:5 - cid:1 - "{user}" - Publish Violation - Subject "x"'.encode())

    assert expected == found
    assert expected.is_agent == (expected.account == "AGENTS")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[1] 2026/11/21 03:07:38.015158 [INF] Server is ready", id="other"),
        pytest.param((HEAD + "Authorization Violation").encode(), id="login"),
        pytest.param((HEAD + "Publish Violation").encode(), id="nobody"),
        pytest.param((HEAD + f'{AGENT}said - Publish Violation - Subject "x"').encode(), id="somewhere"),
        pytest.param(b"Publish Violation \xff", id="bytes"),
    ],
)
def test_other_lines_are_no_refusals(line: bytes) -> None:
    """What only contains the words is nothing."""
    assert read_violation(line) is None
