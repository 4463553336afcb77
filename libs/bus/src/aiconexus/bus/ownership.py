"""
The ownership map: what each service may say and hear on the bus, which the server enforces.

Every stream and bucket has one service that writes it. A reply needs no row here: the server lets a service answer
what it was asked, once.
"""

from collections.abc import Sequence

import msgspec

from aiconexus.protocol import subjects
from aiconexus.protocol.records import DEAD, DUE, EDGES, JOBS, MAILBOX, PRESENCE, REGISTRY, RELAY, RETRY

SERVICES = ("identity", "relay", "retry", "signaling", "edge")

STREAMS: dict[str, tuple[str, ...]] = {"relay": (MAILBOX,), "retry": (RETRY, JOBS, DEAD)}
"""The streams that each service owns."""

CONSUMERS: dict[str, tuple[tuple[str, str], ...]] = {"retry": ((RETRY, DUE),)}
"""The durable consumers that each service reads: stream and name."""

BUCKETS: dict[str, tuple[str, ...]] = {
    "identity": (REGISTRY, PRESENCE),
    "edge": (EDGES,),
    "relay": (RELAY,),
    "retry": (),
    "signaling": (),
}
"""The buckets that each service owns."""

READABLE_BUCKETS = (REGISTRY, PRESENCE, EDGES)
"""The buckets that every service may read."""

AGENT_REQUESTS: dict[str, tuple[str, ...]] = {
    "relay": ("submit", "fetch", "ack", "ping"),
    "signaling": ("forward", "list_servers", "incident", "ping"),
    "identity": ("platform", "discover", "resolve", "revoke", "unregister", "ping"),
    "retry": (
        "schedule",
        "return",
        "withdraw",
        "jobs",
        "job",
        "dead_letters",
        "requeue",
        "drop",
        "ping",
    ),
}
"""What an edge passes on for its agents. Not ``register``: whoever attaches an agent signs for having checked it."""

ASKS: dict[str, tuple[str, ...]] = {
    "edge": ("identity", "retry"),
    "identity": ("edge", "relay", "retry", "signaling"),
    "relay": ("identity", "retry"),
    "retry": ("relay",),
    "signaling": (),
}
"""Which service may ask which."""


class Permissions(msgspec.Struct, frozen=True):
    """All subjects that one user of the bus may publish on and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def service_permissions(service: str) -> Permissions:
    """The row of a service."""
    return Permissions(
        publish=(*_words(service), *_writes(service), *_reads(service)),
        subscribe=(*_hears(service), *_follows()),
    )


def login_permissions() -> Permissions:
    """What identity's second user, in the account of the auth callout, may do: answer logins."""
    return Permissions(publish=(), subscribe=(subjects.login_requests(),))


def system_permissions() -> Permissions:
    """What identity's third user, in the system account, may do: see who connects, and disconnect."""
    own_inbox = f"{subjects.service_inbox('identity')}.>"
    return Permissions(
        publish=(
            subjects.server_ping("CONNZ"),
            subjects.server_ping("STATSZ"),
            subjects.server_request("*", "CONNZ"),
            subjects.server_request("*", "KICK"),
        ),
        subscribe=(
            subjects.account_events("AGENTS", "CONNECT"),
            subjects.account_events("AGENTS", "DISCONNECT"),
            subjects.account_events("SVC", "DISCONNECT"),
            own_inbox,
        ),
    )


def _words(service: str) -> list[str]:
    words = {
        "identity": [subjects.inbox_live("*"), subjects.all_presence()],
        "relay": [subjects.all_mailboxes()],
        "signaling": [subjects.inbox_live("*")],
        "retry": [subjects.all_retries(), subjects.all_jobs(), subjects.all_dead_letters()],
        "edge": [subjects.sends_to(asked, verb) for asked, verbs in AGENT_REQUESTS.items() for verb in verbs],
    }[service]
    return words + [subjects.service_verbs(asked) for asked in ASKS[service]]


def _hears(service: str) -> list[str]:
    heard = [
        f"{subjects.service_inbox(service)}.>",
        subjects.sends_to(service),
        subjects.service_verbs(service),
        subjects.all_presence(),
    ]
    return [*heard, subjects.all_inboxes()] if service == "edge" else heard


def _writes(service: str) -> list[str]:
    allowed: list[str] = []
    for stream in STREAMS.get(service, ()):
        allowed += [subjects.stream_api(verb, stream) for verb in ("CREATE", "UPDATE", "INFO", "PURGE")]
        allowed += [subjects.stream_message_api(verb, stream) for verb in ("DELETE", "GET")]
        allowed += [subjects.direct_get(stream), subjects.direct_last(stream, ">")]
    for stream, consumer in CONSUMERS.get(service, ()):
        allowed += [
            subjects.consumer_create(stream, consumer),
            subjects.consumer_next(stream, consumer),
            subjects.consumer_acks(stream, consumer),
        ]
    for bucket in BUCKETS[service]:
        allowed += [subjects.stream_api(verb, subjects.bucket_stream(bucket)) for verb in ("CREATE", "UPDATE")]
        allowed += [subjects.bucket_key(bucket, ">"), *_reading(bucket)]
    return allowed


def _reads(service: str) -> list[str]:
    others = [bucket for bucket in READABLE_BUCKETS if bucket not in BUCKETS[service]]
    return [subject for bucket in others for subject in _reading(bucket)]


def _reading(bucket: str) -> Sequence[str]:
    stream = subjects.bucket_stream(bucket)
    return (
        subjects.stream_api("INFO", stream),
        subjects.direct_get(stream),
        subjects.bucket_key_read(bucket, ">"),
    )


def _follows() -> list[str]:
    return [subjects.bucket_changes(bucket) for bucket in READABLE_BUCKETS]
