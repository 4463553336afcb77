import os

import pytest

from aiconexus.bus.streams import Page, Stored
from aiconexus.protocol.bodies import Message
from aiconexus.protocol.delivery_errors import MailboxFull
from aiconexus.protocol.errors import StreamRefused
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.limits import LIFETIME_MAX_MS
from aiconexus.protocol.seal import compose, split
from aiconexus.relay.mailbox import (
    EXPIRES_HEADER,
    KEPT_SECONDS,
    expires_ms_of,
    mail_of,
    refusal_of,
    stored_headers,
    stream_config,
)
from aiconexus.relay.settings import RelaySettings

KEY = SigningKey(os.urandom(32))


def stored(sequence: int, size: int = 10, headers: dict[str, str] | None = None) -> Stored:
    """An entry whose payload has somewhat more than ``size`` bytes."""
    data = compose(Message(content=b"x" * size), KEY, KEY.did, id_=f"e{sequence}", now_ms=1_000, expires_ms=5_000)
    return Stored(sequence, "s", data, headers or {}, "")


def test_a_page_becomes_mail_in_its_order() -> None:
    """Entries go out as they lie there, with their sequences and how many follow."""
    mail = mail_of(Page((stored(3), stored(7)), 5))

    assert ([item.sequence for item in mail.items], mail.pending) == ([3, 7], 5)
    assert mail.items[0].payload == split(stored(3).data).payload
    assert mail.items[0].previous is None


@pytest.mark.parametrize(("max_bytes", "fits"), [(1, 1), (2_500, 2), (100_000, 3)])
def test_what_does_not_fit_stays_pending(max_bytes: int, fits: int) -> None:
    """Mail is bounded in bytes, and one envelope always fits."""
    mail = mail_of(Page(tuple(stored(sequence, 1_000) for sequence in range(3)), 5), max_bytes)

    assert (len(mail.items), mail.pending) == (fits, 5 + 3 - fits)


def test_the_end_stands_in_a_header() -> None:
    """The sweeper need not open an entry, but can."""
    assert expires_ms_of(stored(1, headers={EXPIRES_HEADER: "7"})) == 7
    assert expires_ms_of(stored(1)) == 5_000


def test_the_ids_of_two_senders_never_meet() -> None:
    """The stream tells duplicates by sender and id."""
    assert stored_headers("ann", "x", 5) == {"Nats-Msg-Id": "ann:x", EXPIRES_HEADER: "5"}


def test_a_full_mailbox_is_not_a_full_disk() -> None:
    """The sender learns when to come again for the first, and that we are not available for the second."""
    full = refusal_of(StreamRefused("s", 10077, "maximum messages per subject exceeded"), "bob", 10)

    assert isinstance(full, MailboxFull)
    assert (full.did, full.limit, full.retry_after_ms) == ("bob", 10, 5_000)
    assert isinstance(refusal_of(StreamRefused("s", 10077, "maximum bytes exceeded"), "bob", 10), StreamRefused)
    assert isinstance(refusal_of(StreamRefused("s", 10023, "insufficient resources"), "bob", 10), StreamRefused)


def test_the_stream_is_what_the_settings_say() -> None:
    """Limits and replicas come from the operator."""
    settings = RelaySettings(
        seed=KEY.seed, directory_file="", mailbox_max_envelopes=7, mailbox_max_bytes=9, stream_replicas=3
    )
    config = stream_config(settings)

    assert (config["max_msgs_per_subject"], config["max_bytes"], config["num_replicas"]) == (7, 9, 3)


def test_the_stream_outlives_the_longest_life() -> None:
    """Nothing is forgotten by age that the sweeper still has to tell."""
    assert KEPT_SECONDS * 1000 > LIFETIME_MAX_MS
