"""The stream of all mailboxes: one subject for each agent and no consumer, so that a mailbox costs nothing but mail."""

from datetime import datetime
from typing import Any

from aiconexus.bus.streams import Page, Stored
from aiconexus.protocol import subjects
from aiconexus.protocol.bodies import Mail, MailItem
from aiconexus.protocol.delivery_errors import MailboxFull
from aiconexus.protocol.errors import StreamRefused
from aiconexus.protocol.limits import PAGE_MAX_BYTES
from aiconexus.protocol.records import MAILBOX
from aiconexus.protocol.seal import peek, split
from aiconexus.relay.settings import RelaySettings

ID_HEADER = "Nats-Msg-Id"
EXPIRES_HEADER = "Aicx-Expires"
"""Milliseconds since the epoch, so that the sweeper need not open what is stored."""

DUPLICATE_WINDOW_SECONDS = 120
KEPT_SECONDS = 8 * 24 * 3600
"""A day longer than an envelope may live: what the sweeper could not finish is forgotten then."""

FULL_RETRY_MS = 5_000
"""A full mailbox is read again when its owner comes back; nobody knows when that is."""

SUBJECT_OR_STREAM_FULL = 10077
TRANSIENT = frozenset({10005, 10008, 10118})
"""err_code of a cluster without a leader: incomplete, temporarily unavailable, stream offline."""


def stream_config(settings: RelaySettings) -> dict[str, Any]:
    """The stream in the server's own words."""
    return {
        "name": MAILBOX,
        "subjects": [subjects.all_mailboxes()],
        "subject_transform": {"src": subjects.all_mailboxes(), "dest": subjects.stored_transform()},
        "republish": {"src": subjects.all_stored(), "dest": subjects.stored_republish()},
        "retention": "limits",
        "storage": "file",
        "num_replicas": settings.stream_replicas,
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs_per_subject": settings.mailbox_max_envelopes,
        "max_bytes": settings.mailbox_max_bytes,
        "max_age": KEPT_SECONDS * 10**9,
        "duplicate_window": DUPLICATE_WINDOW_SECONDS * 10**9,
        "allow_direct": True,
        "allow_msg_ttl": True,
    }


def stored_headers(token: str, id_: str, expires_ms: int) -> dict[str, str]:
    """
    The headers of an entry, made afresh: nothing that an agent wrote into its own gets here.

    The id begins with the sender, so that nobody can use up the ids of others.
    """
    return {ID_HEADER: f"{token}:{id_}", EXPIRES_HEADER: str(expires_ms)}


def expires_ms_of(stored: Stored) -> int:
    """When an entry ends."""
    text = stored.headers.get(EXPIRES_HEADER)
    return int(text) if text is not None else peek(split(stored.data), is_canonical=True).ends_ms


def stored_ms_of(stored: Stored) -> int:
    """When an entry came."""
    return int(datetime.fromisoformat(stored.time).timestamp() * 1000)


def is_of_retry(stored: Stored) -> bool:
    """Whether the retry service has put it there, which then answers for it: no id of an agent's holds a slash."""
    return "/" in stored.headers.get(ID_HEADER, "")


def mail_of(page: Page, max_bytes: int = PAGE_MAX_BYTES) -> Mail:
    """
    Make an answer to FETCH of a batch.

    Args:
        page: What the stream gave.
        max_bytes: Payload bytes; what does not fit stays pending, but one envelope always fits.

    """
    items: list[MailItem] = []
    size = 0
    for stored in page.items:
        sealed = split(stored.data)
        size += len(sealed.payload)
        if items and size > max_bytes:
            break
        items.append(
            MailItem(sequence=stored.sequence, codec=sealed.codec, payload=sealed.payload, signature=sealed.signature)
        )
    return Mail(items=tuple(items), pending=page.pending + len(page.items) - len(items))


def refusal_of(refused: StreamRefused, recipient: str, limit: int) -> MailboxFull | StreamRefused:
    """Tell a full mailbox, which its owner can empty, from a full disk, which only the operator can."""
    if refused.code == SUBJECT_OR_STREAM_FULL and "per subject" in refused.description:
        return MailboxFull(recipient, limit, FULL_RETRY_MS)
    return refused
