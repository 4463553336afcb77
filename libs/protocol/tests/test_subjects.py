"""The subjects, against the server's own patterns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol import subjects
from aiconexus.protocol.errors import InvalidDid

from .samples import ALICE, BOB, key_of

TOKEN = ALICE.token
AGENT = {
    "send": (subjects.send(TOKEN, "relay", "submit"), f"aicx.v1.send.{TOKEN}.relay.submit"),
    "mail": (subjects.inbox_mail(TOKEN), f"aicx.v1.inbox.{TOKEN}.msg"),
    "live": (subjects.inbox_live(TOKEN), f"aicx.v1.inbox.{TOKEN}.live"),
    "replies": (subjects.inbox_replies(TOKEN), f"aicx.v1.inbox.{TOKEN}.r"),
    "presence": (subjects.presence(TOKEN), f"aicx.v1.presence.{TOKEN}"),
    "mailbox": (subjects.mailbox_of(ALICE.did), f"aicx.v1.mailbox.{TOKEN}"),
    "stored": (subjects.stored(TOKEN), f"aicx.v1.mbx.{subjects.partition(TOKEN)}.{TOKEN}"),
    "service": (subjects.service("identity", "attach"), "aicx.v1.svc.identity.attach"),
    "service inbox": (subjects.service_inbox("relay"), "_INBOX.relay"),
    "login": (subjects.login_requests(), "$SYS.REQ.USER.AUTH"),
    "account event": (subjects.account_events("AGENTS", "CONNECT"), "$SYS.ACCOUNT.AGENTS.CONNECT"),
    "ping": (subjects.server_ping("CONNZ"), "$SYS.REQ.SERVER.PING.CONNZ"),
    "server": (subjects.server_request("N1", "KICK"), "$SYS.REQ.SERVER.N1.KICK"),
    "stream api": (subjects.stream_api("INFO", "MAILBOX"), "$JS.API.STREAM.INFO.MAILBOX"),
    "message api": (subjects.stream_message_api("DELETE", "MAILBOX"), "$JS.API.STREAM.MSG.DELETE.MAILBOX"),
    "direct get": (subjects.direct_get("MAILBOX"), "$JS.API.DIRECT.GET.MAILBOX"),
    "key": (subjects.bucket_key("REGISTRY", TOKEN), f"$KV.REGISTRY.{TOKEN}"),
    "read": (subjects.bucket_key_read("PRESENCE", "k"), "$JS.API.DIRECT.GET.KV_PRESENCE.$KV.PRESENCE.k"),
}
PATTERNS = [
    (subjects.sends_to("relay"), subjects.send(TOKEN, "relay", "submit")),
    (subjects.sends_to("relay", "ack"), subjects.send(TOKEN, "relay", "ack")),
    (subjects.sends_of(TOKEN), subjects.send(TOKEN, "identity", "register")),
    (subjects.all_sends(), subjects.send(TOKEN, "edge", "ping")),
    (subjects.inbox_of(TOKEN), subjects.inbox_mail(TOKEN)),
    (subjects.inbox_of(TOKEN), subjects.inbox_replies(TOKEN) + ".abc.1"),
    (subjects.all_inboxes(), subjects.inbox_live(TOKEN)),
    (subjects.all_presence(), subjects.presence(TOKEN)),
    (subjects.all_mailboxes(), subjects.mailbox(TOKEN)),
    (subjects.all_stored(), subjects.stored(TOKEN)),
    (subjects.service_verbs("identity"), subjects.service("identity", "attach")),
    (subjects.bucket_changes("REGISTRY"), "aicx.v1.bucket.REGISTRY.k"),
]
FOREIGN = [
    (subjects.sends_of(TOKEN), subjects.send(BOB.token, "relay", "submit")),
    (subjects.inbox_of(TOKEN), subjects.inbox_mail(BOB.token)),
    (subjects.sends_to("relay"), subjects.send(TOKEN, "identity", "register")),
    (subjects.all_sends(), subjects.service("relay", "submit")),
    (subjects.all_inboxes(), subjects.stored(TOKEN)),
    (subjects.all_presence(), subjects.presence(TOKEN) + ".more"),
]


def matches(pattern: str, subject: str) -> bool:
    """The server's rule: ``*`` stands for one token, ``>`` for one or more at the end."""
    expression = re.escape(pattern).replace(r"\*", r"[^.]+").replace(r"\.>", r"(\.[^.]+)+").replace(">", r"(\.[^.]+)+")
    return re.fullmatch(expression, subject) is not None


@pytest.mark.parametrize(("actual", "expected"), AGENT.values(), ids=list(AGENT))
def test_subject_is_as_specified(actual: str, expected: str) -> None:
    """The subjects of the specification are those of the code."""
    assert expected == actual


@pytest.mark.parametrize(("pattern", "subject"), PATTERNS)
def test_pattern_takes_in_its_subjects(pattern: str, subject: str) -> None:
    """Who subscribes to a pattern hears what it is for."""
    assert matches(pattern, subject)


@pytest.mark.parametrize(("pattern", "subject"), FOREIGN)
def test_pattern_keeps_out_the_others(pattern: str, subject: str) -> None:
    """Nobody reaches another's subjects by its own pattern."""
    assert not matches(pattern, subject)


def test_transforms_are_in_the_servers_notation() -> None:
    """The stream keeps by partition and republishes to the inbox of the token."""
    assert "aicx.v1.mbx.{{partition(16,1)}}.{{wildcard(1)}}" == subjects.stored_transform()
    assert "aicx.v1.inbox.{{wildcard(2)}}.msg" == subjects.stored_republish()


@pytest.mark.parametrize(("token", "expected"), [("", 5), ("a", 12), ("foobar", 8)])
def test_partition_is_fnv_1a(token: str, expected: int) -> None:
    """FNV-1a of 32 bits: 0x811c9dc5, 0xe40c292c and 0xbf9cf968 are its published values."""
    assert expected == subjects.partition(token)


def test_partitions_are_all_used() -> None:
    """Agents spread over the partitions."""
    used = {subjects.partition(key_of(f"agent {n}").token) for n in range(200)}

    assert set(range(subjects.PARTITIONS)) == used


@given(st.sampled_from(["identity", "relay"]), st.sampled_from(["register", "submit"]))
def test_send_subject_names_its_sender(service: str, verb: str) -> None:
    """A service reads from the subject who the server says it was."""
    assert (TOKEN, service, verb) == subjects.sender_of(subjects.send(TOKEN, service, verb))


@pytest.mark.parametrize(
    "subject",
    ["", "aicx.v1.send.a.b", "aicx.v1.send.a.b.c.d", "aicx.v1.svc.a.b.c", "other.v1.send.a.b.c", "aicx.v2.send.a.b.c"],
)
def test_other_subject_has_no_sender(subject: str) -> None:
    """Only a send subject has a sender."""
    with pytest.raises(ValueError, match="not a send subject"):
        subjects.sender_of(subject)


def test_stored_subject_names_its_recipient() -> None:
    """Relay reads from the stored subject whose mailbox it is."""
    assert TOKEN == subjects.token_of_stored(subjects.stored(TOKEN))


def test_key_is_read_back_from_its_subject() -> None:
    """A watcher learns which key changed."""
    assert "k" == subjects.key_of(subjects.bucket_key("REGISTRY", "k"), "REGISTRY")


def test_foreign_text_never_reaches_a_subject() -> None:
    """A recipient that is no DID has no mailbox."""
    with pytest.raises(InvalidDid):
        subjects.mailbox_of("did:key:z6Mk.>")


def test_job_of_a_dotted_id_is_two_tokens() -> None:
    """Dots in an id do not become tokens of a subject, and different ids stay different."""
    keys = [subjects.job_key("z6Mk", id_) for id_ in ("a.b", "a-b", "..", "a:b")]

    assert [2] * 4 == [len(key.split(".")) for key in keys]
    assert 4 == len(set(keys))
    assert "aicx.v1.retry.at.z6Mk.a=b" == subjects.retry_timer(keys[0])
