"""
What nats-server refuses to a client all by itself, read from the lines of its log.

A foreign subject never reaches a service: the server refuses it, tells the client, and writes a line. No number that it
publishes holds that, so that its log is the only witness. Names and subjects in a line are a client's own words; the
server quotes them, and only what stands outside the quotes is believed.
"""

import re
from enum import StrEnum

import msgspec

from aiconexus.identity.events import AGENTS, SERVICES

ACCOUNTS = frozenset({AGENTS, SERVICES, "AUTH", "SYS"})
ELSEWHERE = "other"
QUOTED = rb'"(?:[^"\\]|\\.)*"'
USER_MAX = 128
"""Characters of a user that are shown: a DID has fewer."""


class Kind(StrEnum):
    """What was refused."""

    PUBLISH = "publish"
    SUBSCRIPTION = "subscription"
    SUBSCRIPTIONS_MAX = "subscriptions_max"
    PAYLOAD_MAX = "payload_max"


class Violation(msgspec.Struct, frozen=True):
    """One refusal; ``account`` is one of ours, or ``other``."""

    kind: Kind
    account: str
    user: str

    @property
    def is_agent(self) -> bool:
        """Whether an agent did it, and not a part of the platform."""
        return self.account == AGENTS


_KINDS = {
    b"Publish Violation": Kind.PUBLISH,
    b"Subscription Violation": Kind.SUBSCRIPTION,
    b"maximum subscriptions exceeded": Kind.SUBSCRIPTIONS_MAX,
    b"maximum payload exceeded": Kind.PAYLOAD_MAX,
}
_WORDS = tuple(_KINDS)
_LINE = re.compile(
    rb"(?:\[\d+\] )?(?:[\d/]+ [\d:.]+ )?\[ERR\] \S+ - \w+:\d+ - "
    rb"(?:" + QUOTED + rb' - )?"(?P<account>[^"/\\]+)/(?P<user>(?:[^"\\]|\\.)*)" - '
    rb"(?P<kind>" + b"|".join(_WORDS) + rb")"
)


def read_violation(line: bytes) -> Violation | None:
    """The refusal that a line tells of, if it does."""
    if not any(word in line for word in _WORDS):
        return None
    found = _LINE.match(line)
    if found is None:
        return None
    account = found["account"].decode(errors="replace")
    # "user:" or "nkey:", and who it is.
    user = found["user"].partition(b":")[2].decode(errors="replace")
    return Violation(_KINDS[found["kind"]], account if account in ACCOUNTS else ELSEWHERE, user[:USER_MAX])
